//! Where a failure is spoken of: the columns of the table. A new one is a function here that gives what was [`Said`], called by
//! [`Scene::is_named`].

use portvakt::maskinporten::{Cause, KnownError, MendedBy};
use serde_json::Value;

use crate::scene::Scene;
use crate::support::*;

/// What has to be said of a failure.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Its entry in the catalogue.
    pub(crate) cause: Cause,
    /// Whether Maskinporten itself refused, and so gave a trace ID.
    pub(crate) refused: bool,
    /// What is known of this one: parts of what was found, and of the remedy.
    pub(crate) facts: &'static [&'static str],
}

/// What was said of it.
#[derive(Debug)]
struct Said {
    by: &'static str,
    /// What was found, then the remedy.
    text: String,
    code: Option<String>,
    trace_id: Option<String>,
}

impl Scene {
    /// Brings the failure about, and looks at all that is said of it.
    pub(crate) async fn is_named(&self, expected: &Expected) {
        let portvakt = Portvakt::start(&self.configuration);
        let by_the_answer = self.said_by_the_answer(&portvakt, expected).await;
        let by_the_log = self.said_by_the_log(&portvakt, expected);
        assert_eq!(by_the_answer.trace_id, by_the_log.trace_id);
        let by_check = self.said_by_check(&portvakt);
        let by_token = self.said_by_token(&portvakt, expected);
        for said in [by_the_answer, by_the_log, by_check, by_token] {
            said.is_all_of(expected);
        }
    }

    async fn said_by_the_answer(&self, portvakt: &Portvakt, expected: &Expected) -> Said {
        let answer = portvakt.ask().with("iss", self.client_id).with("scope", self.scope).send().await;
        assert_eq!(answer.status, if expected.refused { 502 } else { 503 }, "{answer:?}");
        assert_eq!(answer.header("retry-after").is_some(), !expected.refused, "{answer:?}");
        let text = answer.description().to_owned();
        assert!(text.len() <= 1024 && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'), "{text}");
        let whose = KnownError::of(expected.cause).mended_by;
        assert_eq!(text.contains(&format!(" For {whose}: ")), whose != MendedBy::Itself, "{text}");
        Said { by: "the answer", text, code: text_of(&answer.json, "maskinporten_code"), trace_id: text_of(&answer.json, "trace_id") }
    }

    fn said_by_the_log(&self, portvakt: &Portvakt, expected: &Expected) -> Said {
        let line = portvakt.wait_for_log(|line| line.contains("\"mended_by\""));
        let line: Value = serde_json::from_str(&line).unwrap();
        let fields = ["level", "integration", "client_id", "environment", "scope", "mended_by"].map(|name| text_of(&line, name).unwrap());
        let mended_by = KnownError::of(expected.cause).mended_by.to_string();
        assert_eq!(fields, ["WARN", self.integration, self.client_id, "simulator", self.scope, &mended_by], "{line}");
        let text = [text_of(&line, "error"), text_of(&line, "remedy")].map(Option::unwrap).join(" ");
        Said { by: "the log", text, code: text_of(&line, "code").filter(|code| code != "none"), trace_id: text_of(&line, "trace_id") }
    }

    /// Beside the service that runs: the line that failed, and the one that did so first.
    fn said_by_check(&self, portvakt: &Portvakt) -> Said {
        let mut command = portvakt_command();
        command.args(["check", "--format", "json", "--integration", self.integration, "--config"]);
        let output = command.arg(portvakt.directory.path().join("portvakt.toml")).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let failed: Vec<&Value> = checks.iter().filter(|check| check["result"] == "failed").collect();
        let [first, ..] = failed.as_slice() else { panic!("nothing failed: {report:#}") };
        let text = ["found", "remedy"].map(|name| text_of(first, name).unwrap()).join(" ");
        Said { by: "check", text, code: text_of(first, "maskinporten_code"), trace_id: text_of(first, "trace_id") }
    }

    /// `portvakt token`, with the same file: an exchange of its own, and so a trace ID of its own.
    fn said_by_token(&self, portvakt: &Portvakt, expected: &Expected) -> Said {
        let output = portvakt_command()
            .args(["token", "--integration", self.integration, "--scope", self.scope, "--config"])
            .arg(portvakt.directory.path().join("portvakt.toml"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        let whose = KnownError::of(expected.cause).mended_by;
        assert!(text.ends_with(&format!("\nWho can: {whose}\n")), "{text}");
        let word_after = |before: &str| {
            let (_, rest) = text.split_once(before)?;
            rest.split([',', ')', ' ']).next().map(str::to_owned)
        };
        // As in `(MP-121, trace ID …)`.
        let code = word_after("(MP-").map(|number| format!("MP-{number}"));
        Said { by: "token", code, trace_id: word_after("trace ID "), text }
    }
}

impl Said {
    fn is_all_of(&self, expected: &Expected) {
        let known = KnownError::of(expected.cause);
        for part in [known.meaning, known.remedy].iter().chain(expected.facts) {
            assert!(self.text.contains(part), "{expected:?}: it is not said by {} that {part} {self:?}", self.by);
        }
        assert_eq!(self.text.matches(known.remedy).count(), 1, "{self:?}");
        assert_eq!(self.code.as_deref(), known.code, "{self:?}");
        assert_eq!(self.trace_id.as_deref().map(str::len), expected.refused.then_some(32), "{self:?}");
        if let Some(trace_id) = &self.trace_id {
            assert!(self.text.contains(trace_id), "{self:?}");
        }
    }
}

fn text_of(json: &Value, name: &str) -> Option<String> {
    json.get(name)?.as_str().map(str::to_owned)
}
