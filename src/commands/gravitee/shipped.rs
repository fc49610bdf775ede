//! The definitions of deploy/gravitee, and what is filled into them.

use clap::ValueEnum;
use serde_json::Value;

/// A register that we have a definition for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Register {
    Freg,
    Krr,
}

/// The form of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Version {
    V2,
    V4,
}

/// What stands in a definition as we ship it where these belong. `tests/gravitee.rs` sees to it that it does.
const TOKEN_URL: &str = "http://FILL-IN-portvakt-host.invalid:8080/token";
const CLIENT_ID: &str = "{#FILL-IN: the integration's client ID at Maskinporten}";

/// The text of a definition as we ship it.
pub(super) fn definition(register: Register, version: Version, production: bool) -> &'static str {
    macro_rules! shipped {
        ($name:literal) => {
            include_str!(concat!("../../../deploy/gravitee/", $name, ".json"))
        };
    }
    match (register, version, production) {
        (Register::Freg, Version::V2, false) => shipped!("freg-test.v2"),
        (Register::Freg, Version::V4, false) => shipped!("freg-test.v4"),
        (Register::Freg, Version::V2, true) => shipped!("freg-prod.v2"),
        (Register::Freg, Version::V4, true) => shipped!("freg-prod.v4"),
        (Register::Krr, Version::V2, false) => shipped!("krr-test.v2"),
        (Register::Krr, Version::V4, false) => shipped!("krr-test.v4"),
        (Register::Krr, Version::V2, true) => shipped!("krr-prod.v2"),
        (Register::Krr, Version::V4, true) => shipped!("krr-prod.v4"),
    }
}

/// With the URL and the client ID in their properties. The rest stays to the letter, order and spacing too: who compares it with the
/// file that we ship finds these two lines.
pub(super) fn filled_in(definition: &str, token_url: &str, client_id: &str) -> String {
    let json = |text: &str| Value::from(text).to_string();
    definition.replace(&json(TOKEN_URL), &json(token_url)).replace(&json(CLIENT_ID), &json(client_id))
}
