//! What is said on stderr when the files are there: what they are, what goes into the gateway, and the next commands.

use std::borrow::Cow;
use std::path::Path;

use super::super::keygen::expires_at_maskinporten;
use super::answers::Plan;
use super::targets::Targets;

/// What has been done.
pub(super) struct Done<'a> {
    pub(super) plan: &'a Plan,
    pub(super) targets: &'a Targets,
    /// A new key's, which is to be registered.
    pub(super) public_key: Option<&'a str>,
    /// Whether there is a clients file for the simulator.
    pub(super) clients: bool,
}

impl Done<'_> {
    /// The files that were written.
    pub(super) fn files(&self) -> String {
        let targets = self.targets;
        let mut lines = vec![format!("Written: {}", targets.configuration.display())];
        if self.public_key.is_some() {
            lines.push(format!("         {} (the private key, mode 0600: keep it secret)", targets.private_key.display()));
        }
        if self.public_key.is_some() || self.clients {
            lines.push(format!("         {} (its public half)", targets.public_key.display()));
        }
        if self.clients {
            lines.push(format!("         {} (for the simulator)", targets.clients.display()));
        }
        lines.join("\n")
    }

    /// What is to be done now, in its order.
    pub(super) fn what_to_do(&self) -> String {
        let parts = [self.registration(), Some(self.gravitee()), Some(self.commands())];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    /// The simulator knows the key from its clients file already.
    fn registration(&self) -> Option<String> {
        let public_key = self.public_key.filter(|_| !self.clients)?;
        let expiry = expires_at_maskinporten().map_or_else(String::new, |day| {
            format!("\nPosted today, it will have expired there on {day}: one year from the day that it is posted.")
        });
        Some(format!(
            "\nIn Samarbeidsportalen, add this public key to the integration's keys, with the square brackets:\n[{public_key}]{expiry}"
        ))
    }

    fn gravitee(&self) -> String {
        let caller = self.plan.callers.first().map_or("", String::as_str);
        format!(
            r"
In Gravitee:
  property maskinporten_api_key     the API key of {caller}, above
  property maskinporten_api_iss     {client_id}
  URL of the HTTP Callout           http://127.0.0.1:8080/token, by the name that the gateway reaches this machine by",
            client_id = self.plan.client_id,
        )
    }

    fn commands(&self) -> String {
        let config = match self.targets.configuration.as_path() {
            default if default == Path::new("portvakt.toml") => String::new(),
            other => format!(" --config {}", word(&other.display().to_string())),
        };
        let first = if self.clients {
            format!("portvakt simulate --clients {}", word(&self.targets.clients.display().to_string()))
        } else {
            format!("portvakt check{config}")
        };
        let (client_id, tokens) = (&self.plan.client_id, self.plan.wanted.tokens());
        let scope = tokens.first().map_or("", String::as_str);
        format!(
            "\nThe next three commands, with the API key in the variable API_KEY:\n  {first}\n  portvakt serve{config}\n  curl -i -H \"X-Gravitee-Api-Key: $API_KEY\" -H {} -H {} http://127.0.0.1:8080/token",
            quoted(&format!("iss: {client_id}")),
            quoted(&format!("scope: {scope}")),
        )
    }
}

/// A word for a shell, in quotes where it needs them.
fn word(text: &str) -> Cow<'_, str> {
    let plain = |character: char| character.is_alphanumeric() || "/._-+,=@%".contains(character);
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { quoted(text).into() }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("portvakt.toml", "portvakt.toml")]
    #[case("/etc/a b/portvakt.toml", "'/etc/a b/portvakt.toml'")]
    #[case("$(reboot)'", r"'$(reboot)'\'''")]
    #[case("", "''")]
    fn what_a_shell_would_take_apart_is_in_quotes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(word(text), expected);
    }
}
