//! The failures that Maskinporten documents: what each means and what mends it.

use std::fmt;

/// A code of Maskinporten's, such as `MP-121`: the last part of an error's `error_uri`.
///
/// A code that the catalogue does not have is a code all the same.
///
/// ```
/// use portvakt::maskinporten::Code;
/// let code = Code::from_error_uri("https://maskinporten.no/errors/MP-121").unwrap();
/// assert_eq!(code.as_str(), "MP-121");
/// assert_eq!(code.known().unwrap().meaning, "The registered key has expired: a key lives one year from the day it was posted.");
/// assert!(Code::from_error_uri("https://maskinporten.no/errors/MP-999").unwrap().known().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(Box<str>);

impl Code {
    /// `MP-` and three to five digits at the end of the path, or nothing.
    pub fn from_error_uri(error_uri: &str) -> Option<Self> {
        let path = error_uri.split(['?', '#']).next()?;
        let last = path.trim_end_matches('/').rsplit('/').next()?;
        let digits = last.strip_prefix("MP-")?;
        let is_code = (3..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| Self(last.into()))
    }

    /// As Maskinporten writes it: `MP-121`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the catalogue knows of it.
    pub fn known(&self) -> Option<&'static KnownError> {
        KnownError::ALL.iter().find(|known| known.code == Some(self.as_str()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A failure that Maskinporten documents
/// ([maskinporten_feilsoking](https://docs.digdir.no/docs/Maskinporten/maskinporten_feilsoking)).
///
/// None of them passes by itself: someone has to act, here or at Digdir.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownError {
    /// Its code. Some failures have none, and are told by their description.
    pub code: Option<&'static str>,
    /// What went wrong: a whole sentence, in the characters that an `error_description` may have.
    pub meaning: &'static str,
    /// What mends it: whole sentences, in the same characters.
    pub remedy: &'static str,
    /// For a failure without a code: alternatives, each of them words that all have to be in the description.
    told_by: &'static [&'static [&'static str]],
}

impl KnownError {
    /// All of them: first those with a code, in its order.
    pub const ALL: &'static [Self] = CATALOGUE;

    /// Whether it comes of clocks that differ: the same request, with a grant of the right time, is not refused for this.
    pub fn is_for_the_clock(&self) -> bool {
        self.code == Some("MP-130") || self.told_by == FOR_THE_CLOCK
    }

    /// The failure without a code that this description tells of.
    pub fn by_description(description: &str) -> Option<&'static Self> {
        let description = description.to_ascii_lowercase();
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let words: Vec<&str> = description.split(|character| !is_word(character)).collect();
        Self::ALL.iter().find(|known| known.told_by.iter().any(|alternative| alternative.iter().all(|word| words.contains(word))))
    }
}

const fn coded(code: &'static str, meaning: &'static str, remedy: &'static str) -> KnownError {
    KnownError { code: Some(code), meaning, remedy, told_by: &[] }
}

const fn told_by(told_by: &'static [&'static [&'static str]], meaning: &'static str, remedy: &'static str) -> KnownError {
    KnownError { code: None, meaning, remedy, told_by }
}

const FOR_THE_CLOCK: &[&[&str]] = &[&["issue", "time", "after", "now"], &["iat"]];

const CATALOGUE: &[KnownError] = &[
    coded(
        "MP-011",
        "The value of a parameter in the grant is malformed.",
        "Look for stray line breaks and typing errors in the configured values.",
    ),
    coded("MP-012", "This grant (its jti) was used before.", "Sign a new grant for each request."),
    coded(
        "MP-100",
        "The client is not found: the client ID is mistyped, or the client lives in another environment.",
        "Check the client ID and the environment.",
    ),
    coded("MP-110", "The grant's aud is not the environment's issuer.", "Check the environment's issuer, to the slash at its end."),
    coded(
        "MP-120",
        "The grant is signed with an invalid certificate, or with a test certificate in production, or the reverse.",
        "Use a valid virksomhetssertifikat of that environment.",
    ),
    coded(
        "MP-121",
        "The registered key has expired: a key lives one year from the day it was posted.",
        "Post a new key on the client, or the same key again.",
    ),
    coded(
        "MP-122",
        "The certificate's organisation number is not that of the client's owner.",
        "Use a certificate of the organisation that owns the client.",
    ),
    coded(
        "MP-123",
        "The grant's x5c is malformed: it must be an array of strings.",
        "Check that the certificate file holds nothing but the certificate and its chain.",
    ),
    coded(
        "MP-124",
        "The grant's signature is invalid: the key is not the one registered under this kid, the certificate has expired, or it belongs to another environment.",
        "Check that key and kid belong together, and that the certificate is valid in that environment.",
    ),
    coded("MP-130", "The grant has expired, or the clocks differ too much.", "Synchronise this machine's clock."),
    coded(
        "MP-200",
        "The scope is not registered on the client.",
        "Register the scope on the client in Samarbeidsportalen, or correct its spelling.",
    ),
    coded("MP-201", "The client's integration type does not allow the scope.", "Make a client of the right type in Samarbeidsportalen."),
    coded(
        "MP-250",
        "The organisation has not been granted the scope by the API provider.",
        "Ask the API provider to grant the organisation the scope.",
    ),
    coded(
        "MP-251",
        "The consumer has not delegated the scope to the supplier in Altinn.",
        "Have the consumer delegate the scope in Altinn.",
    ),
    coded("MP-301", "An object in authorization_details is of an unknown type.", "Correct the type."),
    coded("MP-302", "An object in authorization_details has an unknown field.", "Leave the field out, or correct its spelling."),
    coded("MP-303", "A value in authorization_details is invalid.", "Correct the value."),
    told_by(FOR_THE_CLOCK, "The grant's iat is more than 10 seconds from Maskinporten's clock.", "Synchronise this machine's clock."),
    told_by(
        &[&["client", "requires", "pre", "registered", "jwk", "kid"]],
        "The client has a registered key, but the grant was signed with a certificate.",
        "Use the registered key and its kid for this integration.",
    ),
    told_by(
        &[&["consumer_org", "equals"], &["consumer_org", "equal"], &["consumer_org", "own"], &["consumer_org", "same"]],
        "The consumer_org is the client's own organisation number.",
        "Leave out consumer_org when the organisation asks for itself.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maskinporten::printable;
    use rstest::rstest;

    #[rstest]
    #[case("https://maskinporten.no/errors/MP-121", Some("MP-121"))]
    #[case("https://test.maskinporten.no/errors/MP-200/", Some("MP-200"))]
    #[case("https://maskinporten.no/errors/MP-100?lang=no#top", Some("MP-100"))]
    #[case("MP-999", Some("MP-999"))]
    #[case("https://maskinporten.no/errors/MP-1001", Some("MP-1001"))]
    #[case("https://maskinporten.no/errors/MP-12", None)]
    #[case("https://maskinporten.no/errors/MP-12a", None)]
    #[case("https://maskinporten.no/errors/mp-121", None)]
    #[case("https://maskinporten.no/errors/MP-121/more", None)]
    #[case("https://maskinporten.no/errors/", None)]
    #[case("", None)]
    fn the_code_is_the_last_part_of_the_path(#[case] error_uri: &str, #[case] expected: Option<&str>) {
        assert_eq!(Code::from_error_uri(error_uri).as_ref().map(Code::as_str), expected);
    }

    #[test]
    fn every_code_is_there_once_and_has_its_entry() {
        let documented = "011 012 100 110 120 121 122 123 124 130 200 201 250 251 301 302 303";
        let codes: Vec<&str> = KnownError::ALL.iter().filter_map(|known| known.code).collect();
        assert_eq!(codes, documented.split(' ').map(|digits| format!("MP-{digits}")).collect::<Vec<_>>());
        for code in codes {
            assert_eq!(Code(code.into()).known().unwrap().code, Some(code));
        }
    }

    #[rstest]
    #[case("Issue time is after now", Some("iat"))]
    #[case("Invalid assertion. iat out of tolerance", Some("iat"))]
    #[case("The client requires pre-registered jwk and no key identifier (kid) provided", Some("registered key"))]
    #[case("Invalid consumer_org: equals the client's own number", Some("consumer_org"))]
    #[case("Invalid assertion", None)]
    #[case("Invalid variation of consumer_org", None)]
    #[case("", None)]
    fn failures_without_a_code_are_told_by_their_description(#[case] description: &str, #[case] expected: Option<&str>) {
        let found = KnownError::by_description(description);
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        assert!(found.is_none_or(|known| known.code.is_none() && known.meaning.contains(expected.unwrap())));
    }

    #[test]
    fn two_failures_are_for_the_clock() {
        let meanings: Vec<_> = KnownError::ALL.iter().filter(|known| known.is_for_the_clock()).map(|known| known.code).collect();
        assert_eq!(meanings, [Some("MP-130"), None]);
        assert!(KnownError::by_description("Issue time is after now").unwrap().is_for_the_clock());
    }

    #[test]
    fn every_text_is_whole_sentences_that_an_error_description_may_have() {
        for known in KnownError::ALL {
            for text in [known.meaning, known.remedy] {
                assert_eq!(printable(text, 400), text);
                assert!(text.ends_with('.'), "{text}");
            }
        }
    }
}
