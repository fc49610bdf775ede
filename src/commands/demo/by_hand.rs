//! What to try by hand while the demo stays up: lines for a shell.

use std::io::{self, Write};

use anstyle::Style;

use super::call::token_url;
use super::stage::{Caller, Integration, KONTAKTINFORMASJON, MED_HJEMMEL, Stage, UTEN_HJEMMEL};

const TITLE: Style = Style::new().bold();
const WHY: Style = Style::new().dimmed();

/// Every line begins with `curl`, its explanation stands above it behind a `#`.
pub(super) fn show(out: &mut impl Write, stage: &Stage) -> io::Result<()> {
    let (freg, krr) = (Integration::Freg, Integration::Krr);
    let (metrics, control) = (format!("http://{}/metrics", stage.management()), stage.simulator.control_endpoint());
    let fault = r#"{"kind":"error","code":"MP-121","times":1}"#;
    let lines = [
        ("A token, from the cache", token(stage, "", Caller::GatewayFreg, freg, UTEN_HJEMMEL)),
        ("Refused: this caller may not have that scope", token(stage, "", Caller::Archive, freg, MED_HJEMMEL)),
        ("Who asked for what, and how often Maskinporten was asked", format!("curl -s {metrics}")),
        (
            "Maskinporten shall refuse the next grant: the registered key has expired",
            format!("curl -i -X PUT -d '{fault}' {control}/fault"),
        ),
        ("POST asks for a fresh token, and so runs into it", token(stage, "-X POST ", Caller::GatewayKrr, krr, KONTAKTINFORMASJON)),
        ("GET still gets the cached one", token(stage, "", Caller::GatewayKrr, krr, KONTAKTINFORMASJON)),
        ("What Maskinporten saw, the grants' claims included", format!("curl -s {control}/counters")),
    ];
    writeln!(out, "\n{TITLE}Try it by hand{TITLE:#} (these API keys end with the demo):")?;
    for (why, line) in lines {
        writeln!(out, "\n{WHY}# {why}{WHY:#}\n{line}")?;
    }
    writeln!(out, "\nCtrl-C ends the demo, and removes its keys and files.")
}

fn token(stage: &Stage, method: &str, caller: Caller, integration: Integration, scope: &str) -> String {
    let (key, iss, url) = (stage.api_key(caller), integration.client_id(), token_url(stage.tokens()));
    format!("curl -i {method}-H 'X-Gravitee-Api-Key: {key}' -H 'iss: {iss}' -H 'scope: {scope}' {url}")
}
