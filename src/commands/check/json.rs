//! The report as JSON, for programs: contract and order of its members are documented in the README.

use std::io::{self, Write};

use serde::Serialize;

use super::finding::{Stage, Verdict};
use super::runner::Done;

#[derive(Serialize)]
struct Document<'a> {
    result: Verdict,
    checks: Vec<Line<'a>>,
}

/// Every member is always there; null where there is nothing to say.
#[derive(Serialize)]
struct Line<'a> {
    stage: Stage,
    subject: &'a str,
    result: Verdict,
    tried: &'a str,
    found: &'a str,
    remedy: Option<&'a str>,
    maskinporten_code: Option<&'a str>,
    trace_id: Option<&'a str>,
    because: Option<&'a str>,
}

/// One document, on several lines.
pub(super) fn write(out: &mut impl Write, result: Verdict, done: &[Done]) -> io::Result<()> {
    let checks = done.iter().flat_map(|done| {
        done.findings.iter().map(|finding| Line {
            stage: done.name.stage,
            subject: &done.name.subject,
            result: finding.verdict,
            tried: &done.tried,
            found: &finding.found,
            remedy: finding.remedy.as_deref(),
            maskinporten_code: finding.maskinporten_code.as_deref(),
            trace_id: finding.trace_id.as_deref(),
            because: finding.because.as_deref(),
        })
    });
    serde_json::to_writer_pretty(&mut *out, &Document { result, checks: checks.collect() })?;
    writeln!(out)
}
