//! One call to `/token`, as a gateway makes it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, redirect};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::stage::{Caller, Integration, Stage};

/// Beyond what Portvakt itself waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) integration: Integration,
    /// One scope, or several separated by spaces.
    pub(super) scope: &'static str,
}

/// What came back. Has a token in it, so it does not print.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
    pub(super) took: Duration,
}

/// RFC 6749 sections 5.1 and 5.2, and what Portvakt passes on of Maskinporten's.
#[derive(Default, Deserialize)]
pub(super) struct Body {
    pub(super) access_token: Option<String>,
    pub(super) expires_in: Option<u64>,
    pub(super) error: Option<String>,
    pub(super) error_description: Option<String>,
    pub(super) maskinporten_code: Option<String>,
    pub(super) trace_id: Option<String>,
}

/// What a token of Maskinporten's says, as far as the demo shows it.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) client_id: String,
    pub(super) client_amr: String,
    pub(super) scope: String,
    pub(super) consumer: Organisation,
}

/// An organisation number with its authority, `0192:999888777`.
#[derive(Deserialize)]
pub(super) struct Organisation {
    #[serde(rename = "ID")]
    pub(super) id: String,
}

/// An HTTP client for the demo's calls: no proxy comes between it and loopback.
pub(super) fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE).build()
}

/// A call that can be sent any number of times, also from several tasks.
#[derive(Clone)]
pub(super) struct Prepared {
    client: Client,
    url: String,
    api_key: Zeroizing<String>,
    call: Call,
}

impl Prepared {
    pub(super) fn new(client: &Client, stage: &Stage, call: Call) -> Self {
        Self { client: client.clone(), url: token_url(stage.tokens()), api_key: stage.api_key(call.caller).to_owned().into(), call }
    }

    /// Sends it, and reads the answer to its end.
    pub(super) async fn send(self) -> Result<Answer, String> {
        let request = self
            .client
            .get(&self.url)
            .header("X-Gravitee-Api-Key", self.api_key.as_str())
            .header("scope", self.call.scope)
            .header("iss", self.call.integration.client_id());
        let started = Instant::now();
        let response = request.send().await.map_err(|error| format!("no answer: {error}"))?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| format!("status {status}, and then no body: {error}"))?;
        let took = started.elapsed();
        let body = serde_json::from_slice(&bytes).map_err(|error| format!("status {status}, and a body that is not OAuth's: {error}"))?;
        Ok(Answer { status, body, took })
    }
}

/// The gateway's door.
pub(super) fn token_url(tokens: SocketAddr) -> String {
    format!("http://{tokens}/token")
}

impl Claims {
    /// What a token says, not verified. None when it is no JWT of Maskinporten's.
    pub(super) fn of(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_of_maskinportens_has_no_claims() {
        let encoded = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        let good = encoded(r#"{"client_id":"c","client_amr":"a","scope":"s","consumer":{"ID":"0192:999888777"},"exp":1}"#);
        assert_eq!(Claims::of(&good).unwrap().consumer.id, "0192:999888777");
        for bad in ["", "opaque", "a.b.c", &encoded("[]"), &encoded(r#"{"client_id":"c"}"#)] {
            assert!(Claims::of(bad).is_none(), "{bad}");
        }
    }
}
