//! What is known so far, from flags and questions, until it is a whole plan.

use super::flags::{Arguments, ClientFlags};
use super::key::PlannedKey;
use super::targets::Targets;
use super::wanted::Wanted;
use crate::maskinporten::Environment;

/// What `portvakt simulate` is called, and where it listens unless told otherwise.
pub(super) const SIMULATOR: &str = "simulator";
const SIMULATOR_ISSUER: &str = "http://127.0.0.1:8090/";

/// What is known so far.
pub(super) struct Answers {
    pub(super) environment: Option<Environment>,
    pub(super) client_id: Option<String>,
    pub(super) key: Option<PlannedKey>,
    pub(super) wanted: Wanted,
    pub(super) callers: Vec<String>,
}

/// All that a portvakt.toml is made of.
pub(super) struct Plan {
    pub(super) environment: Environment,
    pub(super) client_id: String,
    pub(super) key: PlannedKey,
    pub(super) wanted: Wanted,
    /// At least one.
    pub(super) callers: Vec<String>,
}

impl Answers {
    /// The error is a whole sentence.
    pub(super) fn from_flags(arguments: &Arguments, targets: &Targets) -> Result<Self, String> {
        let Arguments { client, key, scopes, callers, .. } = arguments;
        if let Some(name) = callers.iter().enumerate().find_map(|(index, name)| callers[..index].contains(name).then_some(name)) {
            return Err(format!("--caller {name} is there twice: each caller has a name of its own"));
        }
        Ok(Self {
            environment: environment(client)?,
            client_id: client.client_id.clone(),
            key: PlannedKey::from_flags(key, targets)?,
            wanted: Wanted::new(scopes.freg, scopes.krr, scopes.others.clone()),
            callers: callers.clone(),
        })
    }

    /// The plan, when nothing is missing. A caller has a name that goes without saying.
    pub(super) fn complete(self) -> Result<Plan, Box<Self>> {
        match self {
            Self { environment: Some(environment), client_id: Some(client_id), key: Some(key), wanted, mut callers }
                if !wanted.is_empty() =>
            {
                if callers.is_empty() {
                    callers.push(default_caller(&wanted));
                }
                Ok(Plan { environment, client_id, key, wanted, callers })
            }
            incomplete => Err(Box::new(incomplete)),
        }
    }

    /// What flags would have to say.
    pub(super) fn missing(&self) -> String {
        let mut missing = Vec::new();
        if self.environment.is_none() {
            missing.push("--environment NAME (prod, test, or simulator to try it)");
        }
        if self.client_id.is_none() {
            missing.push("--client-id ID");
        }
        if self.key.is_none() {
            missing.push("--new-key (or --pkcs12-file, --private-key-file, --jwk-file)");
        }
        if self.wanted.is_empty() {
            missing.push("--freg uten-hjemmel (or --krr, --scope SCOPE)");
        }
        format!("nobody can be asked here, for stdin or stderr is no terminal, and these flags are missing:\n  {}", missing.join("\n  "))
    }
}

impl Plan {
    pub(super) fn is_simulated(&self) -> bool {
        self.environment.name() == SIMULATOR
    }

    /// What the integration is called: by the register that it is for, and where it lives when that is not production.
    pub(super) fn integration(&self) -> String {
        let register = self.wanted.register().unwrap_or("maskinporten");
        match self.environment.name() {
            "prod" => register.to_owned(),
            environment => format!("{register}-{environment}"),
        }
    }
}

/// The gateway, by the register that it asks for.
pub(super) fn default_caller(wanted: &Wanted) -> String {
    wanted.register().map_or_else(|| "gravitee".to_owned(), |register| format!("gravitee-{register}"))
}

fn environment(client: &ClientFlags) -> Result<Option<Environment>, String> {
    let Some(name) = &client.environment else { return Ok(None) };
    if let Some(built_in) = Environment::built_in(name) {
        return match (&client.issuer, &client.token_endpoint) {
            (None, None) => Ok(Some(built_in)),
            _ => Err(format!(
                "{name} is Digdir's own environment, with an issuer of its own: leave --issuer and --token-endpoint out, or give another name"
            )),
        };
    }
    let issuer = match (&client.issuer, name.as_str()) {
        (Some(issuer), _) => issuer,
        (None, SIMULATOR) => SIMULATOR_ISSUER,
        (None, _) => {
            return Err(format!(
                "there is no environment {name}: known are {} and {SIMULATOR}. One of another name needs its --issuer",
                Environment::BUILT_IN.join(", ")
            ));
        }
    };
    named(name, issuer, client.token_endpoint.as_deref()).map(Some)
}

/// An environment of the operator's own, with its token endpoint below its issuer, where Maskinporten has it too.
pub(super) fn named(name: &str, issuer: &str, token_endpoint: Option<&str>) -> Result<Environment, String> {
    let below = format!("{}/token", issuer.trim_end_matches('/'));
    Environment::custom(name, issuer, token_endpoint.unwrap_or(&below)).map_err(|error| error.to_string())
}

/// The simulator where it listens unless told otherwise.
pub(super) fn simulator() -> Result<Environment, String> {
    named(SIMULATOR, SIMULATOR_ISSUER, None)
}

/// A client ID that a request's `iss` can be.
pub(super) fn client_id(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it is empty: Samarbeidsportalen shows it on the integration".to_owned())
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("it has a space, a line break or a character beyond ASCII in it: copy it again from Samarbeidsportalen".to_owned())
    } else if text.len() > 256 {
        Err("it is longer than 256 bytes, which no request can bring".to_owned())
    } else if text.eq_ignore_ascii_case("null") || text == "none" || text.contains("{#") {
        Err("it is a text that means that nothing was given".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A name for logs and metrics.
pub(super) fn caller_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("it is empty".to_owned())
    } else if text.trim() != text || text.contains(char::is_control) {
        Err("it begins or ends with a space, or has a control character in it".to_owned())
    } else if text.len() > 256 {
        Err("it is longer than 256 bytes".to_owned())
    } else if text == "none" {
        Err("metrics say `none` where nobody is known".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A name that portvakt.toml can give an environment.
pub(super) fn environment_name(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if good { Ok(text.to_owned()) } else { Err("a name has letters, digits, `-`, `_` and `.`".to_owned()) }
}
