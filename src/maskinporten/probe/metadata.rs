//! The metadata document of an authorization server ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414)), and what its answer tells of
//! the clocks.

use reqwest::Url;
use reqwest::header::DATE;
use serde::Deserialize;
use thiserror::Error;

use super::Probe;
use crate::maskinporten::answer::title;
use crate::maskinporten::clock::{ClockDifference, Moment};
use crate::maskinporten::environment::Environment;
use crate::maskinporten::error::{Stage, UnreachableReason};
use crate::maskinporten::foreign_text::printable;
use crate::maskinporten::outbound::innermost;

/// The answer to a request for the metadata document.
#[derive(Clone, Debug)]
pub struct MetadataAnswer {
    /// What was asked.
    pub url: String,
    /// The document, or what there was instead.
    pub document: Result<Metadata, UnusableMetadata>,
    /// How far our clock is from the server's, by its `Date`. `None` when the answer has none, or is a page of somebody else's.
    pub clock: Option<ClockDifference>,
}

/// The two members that must be as we have them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// To the slash: the `aud` of a grant.
    pub issuer: String,
    /// Where grants are exchanged.
    pub token_endpoint: String,
}

/// What an answer was instead of a metadata document. Texts are cleaned and cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnusableMetadata {
    /// Another status than 200.
    #[error("the answer has status {0}")]
    Status(u16),
    /// A page for a browser: somebody between us and Maskinporten gave it, most often.
    #[error("the answer (status {status}) is an HTML page {}", title.as_ref().map_or("without a title".to_owned(), |title| format!("with the title '{title}'")))]
    Html {
        /// The HTTP status.
        status: u16,
        /// Its title.
        title: Option<String>,
    },
    /// Not the JSON that it should be.
    #[error("the answer is not JSON with issuer and token_endpoint")]
    NotMetadata,
}

/// A document has 64 KiB at most; Maskinporten's have about one.
const LARGEST: usize = 64 * 1024;

impl Probe {
    /// Fetches the document, once, with the HTTP client that exchanges are made with.
    ///
    /// # Errors
    ///
    /// [`UnreachableReason`] when no answer came.
    pub async fn metadata(&self, environment: &Environment) -> Result<MetadataAnswer, UnreachableReason> {
        let request = |error: &(dyn std::error::Error + 'static)| UnreachableReason::Request(innermost(error));
        let url = environment.metadata_url().ok_or_else(|| UnreachableReason::Request("the issuer is not a URL".to_owned()))?;
        let client = self.client.outbound.client_for(&url).map_err(|error| request(&error))?;

        let asked = Moment::now();
        let mut response = client.get(url.clone()).send().await.map_err(|error| self.client.reason(&error, Stage::Answer))?;
        let answered = Moment::now();
        let status = response.status().as_u16();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let clock = date.and_then(|date| ClockDifference::from_date(date, asked, answered));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.client.reason(&error, Stage::Body))? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                break;
            }
        }
        let document = read(status, &body);
        let is_a_page = matches!(document, Err(UnusableMetadata::Html { .. }));
        Ok(MetadataAnswer { url: url.to_string(), document, clock: clock.filter(|_| !is_a_page) })
    }
}

fn read(status: u16, body: &[u8]) -> Result<Metadata, UnusableMetadata> {
    let body = body.trim_ascii();
    if body.first() == Some(&b'<') {
        return Err(UnusableMetadata::Html { status, title: title(body) });
    }
    if status != 200 {
        return Err(UnusableMetadata::Status(status));
    }
    let Metadata { issuer, token_endpoint } = serde_json::from_slice(body).map_err(|_| UnusableMetadata::NotMetadata)?;
    Ok(Metadata { issuer: printable(&issuer, 200), token_endpoint: printable(&token_endpoint, 200) })
}

impl Environment {
    /// Where the environment's metadata document is: RFC 8414 puts its path between host and path of the issuer; Skyporten has it at
    /// `.well-known/openid-configuration` instead ([maskinporten_skyporten](https://docs.digdir.no/docs/Maskinporten/maskinporten_skyporten)).
    pub fn metadata_url(&self) -> Option<Url> {
        let mut url = Url::parse(self.issuer()).ok()?;
        let path = url.path().trim_end_matches('/').to_owned();
        if self.is_skyporten() {
            url.set_path(&format!("{path}/.well-known/openid-configuration"));
        } else {
            url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://maskinporten.no/", "https://maskinporten.no/.well-known/oauth-authorization-server")]
    #[case("https://test.sky.maskinporten.no", "https://test.sky.maskinporten.no/.well-known/openid-configuration")]
    #[case("http://127.0.0.1:8090", "http://127.0.0.1:8090/.well-known/oauth-authorization-server")]
    #[case("https://example.no/a/b/", "https://example.no/.well-known/oauth-authorization-server/a/b")]
    fn where_the_document_is(#[case] issuer: &str, #[case] expected: &str) {
        let environment = Environment::custom("x", issuer, issuer).unwrap();
        assert_eq!(environment.metadata_url().unwrap().as_str(), expected);
    }

    #[rstest]
    #[case(200, r#"{"issuer":"a","token_endpoint":"b","more":1}"#, Ok(Metadata { issuer: "a".into(), token_endpoint: "b".into() }))]
    #[case(200, r#"{"issuer":"a"}"#, Err(UnusableMetadata::NotMetadata))]
    #[case(200, "", Err(UnusableMetadata::NotMetadata))]
    #[case(404, "{}", Err(UnusableMetadata::Status(404)))]
    #[case(403, " <html><title>Denied</title>", Err(UnusableMetadata::Html { status: 403, title: Some("Denied".into()) }))]
    fn what_an_answer_is(#[case] status: u16, #[case] body: &str, #[case] expected: Result<Metadata, UnusableMetadata>) {
        assert_eq!(read(status, body.as_bytes()), expected);
    }
}
