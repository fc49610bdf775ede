//! The text of portvakt.toml, and of the simulator's clients file.

use std::fmt::Write;

use super::super::toml_text;
use super::answers::Plan;
use super::targets::{PUBLIC_KEY, Targets};
use crate::access::Digest;
use crate::maskinporten::Environment;

/// An organisation that does not exist.
const ORGANISATION_NUMBER: &str = "999888777";

/// A caller, and the digest of its API key.
pub(super) struct CallerLine<'a> {
    pub(super) name: &'a str,
    pub(super) digest: Digest,
}

/// portvakt.toml. Whatever can be changed and is not in it stands there as a comment.
pub(super) fn text(plan: &Plan, targets: &Targets, callers: &[CallerLine<'_>]) -> String {
    let integration = plan.integration();
    let mut text = format!(
        r#"# Portvakt's configuration, written by `portvakt init`. What is commented out shows its default, or says what leaving it out means.
# A relative path is relative to this file. No secret stands in it: only names of files that hold them, and digests of API keys.
# After a change: portvakt check --config {}, and start the service again.

[server]
listen = "127.0.0.1:8080"          # where tokens are handed out. 0.0.0.0:8080: all addresses, in plain HTTP: end TLS in front of it
# shutdown_grace = "30s"           # what is in progress at SIGTERM may take this long
# shutdown_delay = "0s"            # before that, requests are still taken, for those who have not yet heard that it is not ready

[management]                       # health and metrics, for the operator alone
# listen = "127.0.0.1:9464"

[outbound]                         # towards Maskinporten
# deadline = "8s"                  # what a caller waits at most
# proxy = "http://proxy.example.no:3128"     # none: HTTPS_PROXY and NO_PROXY, as usual
# ca_file = "extra-ca.pem"         # trusted in addition to the system's
"#,
        one_line(&targets.configuration.display().to_string())
    );
    if Environment::built_in(plan.environment.name()).is_none() {
        push(&mut text, &environment(plan));
    }
    push(&mut text, &self::integration(plan, &integration));
    for caller in callers {
        push(&mut text, &self::caller(plan, &integration, caller));
    }
    text
}

/// A file's name may have a line break, which would end the comment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn push(text: &mut String, table: &str) {
    // Writing into memory does not fail.
    let _ = write!(text, "\n{table}");
}

fn environment(plan: &Plan) -> String {
    format!(
        r"# prod, test, sky-prod and sky-test are built in; this is how another one is named.
[environment.{name}]
issuer = {issuer}       # the grant's `aud`, to the slash
token_endpoint = {token_endpoint}
",
        name = toml_text(plan.environment.name()),
        issuer = toml_text(plan.environment.issuer()),
        token_endpoint = toml_text(plan.environment.token_endpoint()),
    )
}

fn integration(plan: &Plan, name: &str) -> String {
    let tokens = plan.wanted.tokens();
    format!(
        r#"# A client at Maskinporten. Another one is another such table.
[[integration]]
name = {name}
client_id = {client_id}
environment = {environment}
# algorithm = "RS256"              # or RS384, RS512
prefetch = {prefetch} # kept warm from the start on, a token for each text
key = {key}
"#,
        name = toml_text(name),
        client_id = toml_text(&plan.client_id),
        environment = toml_text(plan.environment.name()),
        prefetch = list(&tokens),
        key = plan.key.line(),
    )
}

fn caller(plan: &Plan, integration: &str, caller: &CallerLine<'_>) -> String {
    format!(
        r#"# Who may ask, and for what. What no rule allows is refused. Another caller is another such table, with a key of its own:
# portvakt api-key new
[[caller]]
name = {name}
# A key may have `expires = 2027-01-31`, and there may be two while one replaces the other.
keys = [{{ sha256 = "{digest}" }}]
# networks = ["10.20.0.0/16"]      # none: from anywhere
may = [{{ integration = {integration}, scopes = {scopes} }}]
"#,
        name = toml_text(caller.name),
        digest = caller.digest.to_hex(),
        integration = toml_text(integration),
        scopes = list(&plan.wanted.scopes()),
    )
}

/// The simulator's clients file: this one client, with its public key.
pub(super) fn clients(plan: &Plan) -> String {
    format!(
        r#"# The clients that the simulator knows, written by `portvakt init`: portvakt simulate --clients clients.toml
# deploy/quickstart/clients.toml in Portvakt's source says what else can stand here.

[[client]]
client_id = {client_id}
organisation = "{ORGANISATION_NUMBER}"       # made up
scopes = {scopes}
keys = [{{ jwk_file = "{PUBLIC_KEY}" }}]
"#,
        client_id = toml_text(&plan.client_id),
        scopes = list(&plan.wanted.scopes()),
    )
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| toml_text(text)).collect();
    format!("[{}]", texts.join(", "))
}
