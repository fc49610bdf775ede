//! The operator's file, and the files with secrets that it names.

use super::finding::{Finding, Name, Stage, or_ok};
use super::runner::{Check, NOT_TRIED};
use crate::config::{Config, ConfigError, Mistake, Severity, Subject};

/// Both stages: all mistakes were found when the file was read.
pub(super) fn checks(file: &str, mistakes: &[Mistake], config: Option<&Config>) -> Vec<Check> {
    let about = |subject| mistakes.iter().filter(move |mistake| mistake.subject() == subject).map(finding).collect::<Vec<_>>();
    let counted = || {
        config.map_or_else(String::new, |config| {
            format!("{} and {}", count(config.integrations.len(), "integration"), count(config.callers.len(), "caller"))
        })
    };
    let configuration = or_ok(about(Subject::Configuration), counted);
    let mut secrets = about(Subject::SecretFile);
    if config.is_none() && secrets.is_empty() {
        secrets.push(Finding::skipped(Stage::Configuration.of(file), NOT_TRIED));
    }
    let secrets = or_ok(secrets, || "they can be read, and by nobody else on this machine".to_owned());
    vec![
        Check::known(Stage::Configuration.of(file), "reading the configuration file", configuration),
        Check::known(Stage::Secrets.of(file), "reading the files with secrets that it names", secrets),
    ]
}

/// A file that cannot be read at all.
pub(super) fn unreadable(file: &str, error: &ConfigError) -> Check {
    let finding = match error {
        ConfigError::Unreadable { path, error } => Finding::failed(
            format!("cannot read the configuration file `{}`: {error}", path.display()),
            "Name another file with --config FILE or PORTVAKT_CONFIG, or mend its permissions.",
        ),
        ConfigError::Mistakes(_) => Finding::failed(error.to_string(), "Correct the file."),
    };
    Check::known(Stage::Configuration.of(file), "reading the configuration file", vec![finding])
}

/// What keeps the rest of the file from being used, if something does.
pub(super) fn broken(file: &str, mistakes: &[Mistake]) -> Option<Name> {
    let has = |subject| mistakes.iter().any(|mistake| mistake.subject() == subject && mistake.severity() == Severity::Error);
    if has(Subject::Configuration) {
        Some(Stage::Configuration.of(file))
    } else {
        has(Subject::SecretFile).then(|| Stage::Secrets.of(file))
    }
}

/// A mistake with its place; its line in the file is not repeated.
fn finding(mistake: &Mistake) -> Finding {
    let found = format!("line {}, column {}: {}", mistake.line(), mistake.column(), mistake.text());
    match mistake.severity() {
        Severity::Error => Finding::failed(found, mistake.help()),
        Severity::Warning => Finding::warning(found, mistake.help()),
    }
}

/// `1 caller`, `2 callers`
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
