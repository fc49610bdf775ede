//! What a check is about, and what it has found.

use std::fmt;

use serde::Serialize;

/// What is looked at, in the order in which it is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Configuration,
    Secrets,
    Keys,
    Callers,
    Listeners,
    /// An API definition that was named; there is no such check otherwise.
    Gravitee,
    Dns,
    Connect,
    Tls,
    Metadata,
    Clock,
    Exchange,
}

impl Stage {
    /// Those of which there is always a check.
    pub(super) const ALL: [Self; 11] = [
        Self::Configuration,
        Self::Secrets,
        Self::Keys,
        Self::Callers,
        Self::Listeners,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Metadata,
        Self::Clock,
        Self::Exchange,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Secrets => "secrets",
            Self::Keys => "keys",
            Self::Callers => "callers",
            Self::Listeners => "listeners",
            Self::Gravitee => "gravitee",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Metadata => "metadata",
            Self::Clock => "clock",
            Self::Exchange => "exchange",
        }
    }

    /// The name of a check of this stage.
    pub(super) fn of(self, subject: impl Into<String>) -> Name {
        Name { stage: self, subject: subject.into() }
    }
}

/// Which check: `exchange freg-test folkeregister:deling/offentligutenhjemmel`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) stage: Stage,
    pub(super) subject: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stage.name(), self.subject)
    }
}

/// How a check ended. The order is that of a report's summary: what is worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Not done: see [`Finding::because`].
    Skipped,
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    Failed,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that a check has found. Nothing in it is secret.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What came back.
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
    pub(super) maskinporten_code: Option<String>,
    pub(super) trace_id: Option<String>,
    /// Of what is skipped: what it waits for.
    pub(super) because: Option<String>,
}

impl Finding {
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, found.into(), None)
    }

    pub(super) fn warning(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, found.into(), Some(remedy.into()))
    }

    pub(super) fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Failed, found.into(), Some(remedy.into()))
    }

    /// Not done. `because`: the check that it waits for, or what was written on the command line.
    pub(super) fn skipped(because: impl fmt::Display, found: impl Into<String>) -> Self {
        Self { because: Some(because.to_string()), ..Self::new(Verdict::Skipped, found.into(), None) }
    }

    fn new(verdict: Verdict, found: String, remedy: Option<String>) -> Self {
        Self { verdict, found, remedy, maskinporten_code: None, trace_id: None, because: None }
    }
}

/// The worst first, and `all_well` when there is nothing to say.
pub(super) fn or_ok(mut findings: Vec<Finding>, all_well: impl FnOnce() -> String) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    if findings.is_empty() { vec![Finding::ok(all_well())] } else { findings }
}
