//! The text that is shown: what was sent, what came back, and what the token says.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use zeroize::Zeroizing;

use super::members::Members;
use crate::maskinporten::{AccessToken, Certificate, ClockDifference, Environment, Grant, is_order};

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hiding {
    /// `pid`, and what `authorization_details` says beside its types: it can name a person.
    Persons,
    Nothing,
}

const HIDDEN: &str = "hidden: --show-pid shows it";

/// How much of a token's SHA-256 tells it from others, in bytes.
const FINGERPRINT: usize = 8;

/// Maskinporten takes 10 s; half of that is told of.
const NOTEWORTHY: Duration = Duration::from_secs(5);

pub(super) struct Shown {
    text: Zeroizing<String>,
    hiding: Hiding,
    now: SystemTime,
}

impl Shown {
    pub(super) fn new(hiding: Hiding, now: SystemTime) -> Self {
        Self { text: Zeroizing::new(String::with_capacity(16 * 1024)), hiding, now }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What is sent.
    pub(super) fn grant(&mut self, grant: &Grant, took: Duration) {
        let jwt = grant.expose_secret().as_bytes();
        self.title(format_args!("The grant, signed in {}", milliseconds(took)));
        for part in [0, 1] {
            self.members(Members::of(jwt, part));
        }
    }

    /// What came back, and what the token says.
    pub(super) fn token(&mut self, token: &AccessToken, environment: &Environment, clock: Option<ClockDifference>, took: Duration) {
        self.title(format_args!("The answer of {}, in {}", environment.token_endpoint(), milliseconds(took)));
        self.line("access_token", told(token.expose_secret()));
        let lifetime =
            token.expires_in().map_or_else(|| "none: nobody knows how long it lives".to_owned(), |span| span.as_secs().to_string());
        self.line("expires_in", lifetime);
        self.line("scope", token.scope().map_or("none", |scopes| scopes.as_str()));
        if let Some(clock) = clock.filter(|clock| clock.magnitude() > NOTEWORTHY) {
            self.line("clock", format_args!("{clock}: set it right"));
        }
        match Members::of(token.expose_secret(), 1) {
            Some(members) => {
                self.title("The token's claims, not verified");
                self.members(Some(members));
            }
            None => self.title("The token is no JWT: what it says, only its receiver knows"),
        }
    }

    /// Nothing, or nothing good.
    pub(super) fn no_token(&mut self, environment: &Environment, took: Duration) {
        self.title(format_args!("No token from {}, after {}", environment.token_endpoint(), milliseconds(took)));
    }

    fn title(&mut self, title: impl Display) {
        let break_before = if self.text.is_empty() { "" } else { "\n" };
        self.push(format_args!("{break_before}{title}\n"));
    }

    fn line(&mut self, name: &str, value: impl Display) {
        self.push(format_args!("  {:<22} {value}\n", printable(name)));
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = fmt::Write::write_fmt(&mut *self.text, text);
    }

    fn members(&mut self, members: Option<Members>) {
        for (name, value) in members.map(|Members(members)| members).unwrap_or_default() {
            let value = self.value(&name, value);
            self.line(&name, value);
        }
    }

    fn text_of(&self, text: &str) -> String {
        let text = printable(text);
        if self.hiding == Hiding::Persons { without_numbers_of_persons(&text) } else { text }
    }

    fn value(&self, name: &str, value: Value) -> String {
        match (name, value) {
            ("pid", _) if self.hiding == Hiding::Persons => HIDDEN.to_owned(),
            ("authorization_details", value) if self.hiding == Hiding::Persons => {
                format!("{}; the rest is {HIDDEN}", self.text_of(&types(&value)))
            }
            ("x5c", Value::Array(chain)) => subjects(&chain),
            ("iat" | "exp" | "nbf" | "auth_time", value) => in_words(&value, self.now),
            (_, Value::String(text)) => self.text_of(&text),
            (_, mut value) => {
                if self.hiding == Hiding::Persons {
                    hide_persons(&mut value);
                }
                self.text_of(&value.to_string())
            }
        }
    }
}

/// A person's number need not stand in a member that is named for it: a token's `sub` may be one.
fn without_numbers_of_persons(text: &str) -> String {
    let is_of_a_person = |word: &str| word.len() == 11 && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_between_words = |character: char| !character.is_ascii_alphanumeric();
    let parts = text.split_inclusive(is_between_words).map(|part| {
        let word = part.trim_end_matches(is_between_words);
        if is_of_a_person(word) { part.replace(word, "[11 digits]") } else { part.to_owned() }
    });
    parts.collect()
}

/// A server's text could hold what a terminal takes for orders.
fn printable(text: &str) -> String {
    text.chars().map(|character| if is_order(character) { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

fn types(authorization_details: &Value) -> String {
    let details = authorization_details.as_array().map(Vec::as_slice).unwrap_or_default();
    let types: Vec<&str> = details.iter().map(|detail| detail.get("type").and_then(Value::as_str).unwrap_or("without a type")).collect();
    types.join(", ")
}

/// Members named `pid`, however deep they lie.
fn hide_persons(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if name == "pid" {
                    *value = HIDDEN.into();
                } else {
                    hide_persons(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_persons),
        _ => {}
    }
}

/// Whose certificates they are; the certificates themselves are thousands of characters.
fn subjects(chain: &[Value]) -> String {
    let subject = |certificate: &Value| {
        let der = certificate.as_str().and_then(|text| STANDARD.decode(text).ok());
        let certificate = der.and_then(|der| Certificate::from_der(&der).ok());
        certificate.map_or_else(|| "not a certificate".to_owned(), |certificate| certificate.subject().to_owned())
    };
    let subjects: Vec<String> = chain.iter().map(subject).collect();
    format!("{} certificates: {}", subjects.len(), subjects.join("; "))
}

/// A moment as people read it, and how far off it is.
fn in_words(value: &Value, now: SystemTime) -> String {
    let moment = value.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let (Some(moment), Ok(now)) = (moment, Timestamp::try_from(now)) else { return printable(&value.to_string()) };
    match moment.as_second() - now.as_second() {
        0 => format!("{moment}, now"),
        seconds @ 1.. => format!("{moment}, in {}", span(seconds)),
        seconds => format!("{moment}, {} ago", span(-seconds)),
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        0..=600 => format!("{seconds} s"),
        601..=7200 => format!("{} min", seconds / 60),
        7201..=172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Both ends of a token and its length: enough to tell two apart, too little to use one.
/// Nothing of the token itself: what is on a terminal is copied into tickets.
fn told(token: &[u8]) -> String {
    let digest = openssl::sha::sha256(token);
    let fingerprint = hex::encode(digest.get(..FINGERPRINT).unwrap_or_default());
    format!("{} bytes, SHA-256 {fingerprint}...; --raw prints it", token.len())
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!(1_000_119), "1970-01-12T13:48:39Z, in 119 s")]
    #[case(json!(1_000_000), "1970-01-12T13:46:40Z, now")]
    #[case(json!(999_970), "1970-01-12T13:46:10Z, 30 s ago")]
    #[case(json!(1_003_599), "1970-01-12T14:46:39Z, in 59 min")]
    #[case(json!(1_086_400), "1970-01-13T13:46:40Z, in 24 h")]
    #[case(json!(0), "1970-01-01T00:00:00Z, 11 days ago")]
    #[case(json!("soon"), "\"soon\"")]
    #[case(json!(i64::MAX), "9223372036854775807")]
    fn moments_in_words(#[case] value: Value, #[case] words: &str) {
        assert_eq!(in_words(&value, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)), words);
    }

    #[rstest]
    #[case("pid", json!("01017012345"), "hidden: --show-pid shows it")]
    #[case("person", json!({"name": "x", "pid": "01017012345"}), r#"{"name":"x","pid":"hidden: --show-pid shows it"}"#)]
    #[case("authorization_details", json!([{"type": "urn:altinn:consent", "from": "urn:altinn:person:identifier-no:01017012345"}]), "urn:altinn:consent; the rest is hidden: --show-pid shows it")]
    #[case("authorization_details", json!("01017012345"), "; the rest is hidden: --show-pid shows it")]
    #[case("sub", json!("01017012345"), "[11 digits]")]
    #[case("sub", json!(1_017_012_345_u64 + 10_000_000_000), "[11 digits]")]
    #[case("who", json!(["no:01017012345", "0123456789ø", "0192:991825827", "010170123456", "a01017012345"]), r#"["no:[11 digits]","0123456789ø","0192:991825827","010170123456","a01017012345"]"#)]
    #[case("authorization_details", json!([{"type": "01017012345"}]), "[11 digits]; the rest is hidden: --show-pid shows it")]
    #[case("iss", json!("a\u{202e}b\u{2028}c"), "a\u{FFFD}b\u{FFFD}c")]
    #[case("iss", json!("https://x/\u{1b}[31m\u{9b}"), "https://x/\u{FFFD}[31m\u{FFFD}")]
    #[case("x5c", json!(["AAAA", 1]), "2 certificates: not a certificate; not a certificate")]
    fn what_is_hidden(#[case] name: &str, #[case] value: Value, #[case] expected: &str) {
        assert_eq!(Shown::new(Hiding::Persons, SystemTime::UNIX_EPOCH).value(name, value.clone()), expected);
        let all = Shown::new(Hiding::Nothing, SystemTime::UNIX_EPOCH).value(name, value.clone());
        assert_eq!(all.contains("01017012345"), value.to_string().contains("01017012345"), "{all}");
    }

    #[test]
    fn a_token_is_told_by_its_fingerprint() {
        // `printf abc | sha256sum`
        assert_eq!(told(b"abc"), "3 bytes, SHA-256 ba7816bf8f01cfea...; --raw prints it");
    }
}
