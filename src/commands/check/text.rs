//! The report as text, for people.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::configuration::count;
use super::finding::{Finding, Verdict};
use super::runner::{Done, NOT_TRIED};
use crate::maskinporten::is_order;

const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

const VERDICT_WIDTH: usize = 7;
const STAGE_WIDTH: usize = 13;
/// Subjects that are longer push what follows to the right.
const SUBJECT_LIMIT: usize = 40;
const LABEL_WIDTH: usize = 11;

/// A line for each finding, with more below it when it is not all well, and a summary.
pub(super) fn write(out: &mut impl Write, done: &[Done]) -> io::Result<()> {
    let widths = done.iter().map(|done| done.name.subject.chars().count()).filter(|width| *width <= SUBJECT_LIMIT);
    let subject_width = widths.max().unwrap_or_default();
    for done in done {
        for finding in &done.findings {
            line(out, done, finding, subject_width)?;
        }
    }
    summary(out, done)
}

fn line(out: &mut impl Write, done: &Done, finding: &Finding, subject_width: usize) -> io::Result<()> {
    let style = style(finding.verdict);
    let (verdict, stage, subject) = (finding.verdict.name(), done.name.stage.name(), clean(&done.name.subject));
    write!(out, "{style}{verdict:VERDICT_WIDTH$}{style:#}  {stage:STAGE_WIDTH$}  {subject:subject_width$}  ")?;
    match (finding.verdict, &finding.because) {
        (Verdict::Ok, _) => writeln!(out, "{}: {}", clean(&done.tried), clean(&finding.found)),
        (Verdict::Skipped, Some(because)) => match finding.found.as_str() {
            NOT_TRIED => writeln!(out, "because of {}", clean(because)),
            found => writeln!(out, "because of {}: {}", clean(because), clean(found)),
        },
        _ => {
            writeln!(out, "{}", clean(&done.tried))?;
            detail(out, "found", &finding.found)?;
            finding.remedy.iter().try_for_each(|remedy| detail(out, "what to do", remedy))?;
            finding.trace_id.iter().try_for_each(|trace_id| detail(out, "trace ID", trace_id))
        }
    }
}

fn detail(out: &mut impl Write, label: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{:VERDICT_WIDTH$}  {FAINT}{label:LABEL_WIDTH$}{FAINT:#}  {}", "", clean(text))
}

fn summary(out: &mut impl Write, done: &[Done]) -> io::Result<()> {
    let tally = |verdict| done.iter().flat_map(|done| &done.findings).filter(|finding| finding.verdict == verdict).count();
    let (failed, warnings, well, skipped) = (tally(Verdict::Failed), tally(Verdict::Warning), tally(Verdict::Ok), tally(Verdict::Skipped));
    let (style, conclusion) = match (failed, warnings, skipped) {
        (0, 0, 0) => (GOOD, "Nothing is wrong"),
        (0, 0, _) => (GOOD, "Nothing is wrong in what was looked at"),
        (0, _, 0) => (WARNING, "It works, with warnings"),
        (0, ..) => (WARNING, "Warnings only, in what was looked at"),
        _ => (BAD, "Something does not work"),
    };
    writeln!(out, "\n{style}{conclusion}{style:#}: {well} ok, {}, {failed} failed, {skipped} skipped.", count(warnings, "warning"))
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ok => GOOD,
        Verdict::Warning => WARNING,
        Verdict::Failed => BAD,
        Verdict::Skipped => FAINT,
    }
}

/// On one line, whatever names and files hold.
fn clean(text: &str) -> String {
    text.chars().map(|character| if is_order(character) { ' ' } else { character }).collect()
}
