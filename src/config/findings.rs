//! The mistakes found so far, before the file's secrets are masked and they can be shown.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::mistake::{Mistake, Place, Severity, Source, Subject};
use super::stamp::SourceFile;
use super::{masking, syntax};

struct Finding {
    severity: Severity,
    subject: Subject,
    place: Place,
    text: String,
    help: String,
    other: Option<(Place, String)>,
    /// Something is not there. In a file whose syntax is broken it may be there all the same.
    about_absence: bool,
}

/// What was found wrong while reading.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    /// Values that turned out to be secrets themselves.
    secrets: Vec<Range<usize>>,
    /// The files that the file names, also those that could not be read.
    sources: Vec<SourceFile>,
}

impl Findings {
    /// Something that is wrong where it stands.
    pub(super) fn mistake(&mut self, place: Place, text: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Error, place, text.into(), help.into(), None, false);
    }

    /// Something that is not there.
    pub(super) fn missing(&mut self, place: Place, text: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Error, place, text.into(), help.into(), None, true);
    }

    /// Something that does not go with what stands at another place.
    pub(super) fn conflict(&mut self, place: Place, text: impl Into<String>, help: impl Into<String>, other: (Place, &str)) {
        self.push(Severity::Error, place, text.into(), help.into(), Some((other.0, other.1.to_owned())), false);
    }

    /// A file with a secret that the file names, and that cannot be used or should not be as it is.
    pub(super) fn secret_file(&mut self, severity: Severity, place: Place, text: impl Into<String>, help: impl Into<String>) {
        self.push(severity, place, text.into(), help.into(), None, false);
        if let Some(finding) = self.found.last_mut() {
            finding.subject = Subject::SecretFile;
        }
    }

    /// A value that must not be shown.
    pub(super) fn secret(&mut self, place: Place) {
        self.secrets.push(place.span());
    }

    /// A file that is about to be read.
    pub(super) fn source(&mut self, path: &Path) {
        self.sources.push(SourceFile::look(path));
    }

    /// All files that were read, or should have been.
    pub(super) fn take_sources(&mut self) -> Vec<SourceFile> {
        std::mem::take(&mut self.sources)
    }

    fn push(&mut self, severity: Severity, place: Place, text: String, help: String, other: Option<(Place, String)>, about_absence: bool) {
        self.found.push(Finding { severity, subject: Subject::Configuration, place, text, help, other, about_absence });
    }

    /// How many of them stop the start.
    pub(super) fn errors(&self) -> usize {
        self.found.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// Everything that is to be said about the file, in its order, and the file as it may be shown.
    ///
    /// What only follows from broken syntax, or from a key pasted into the file, is left out: it would bury the cause.
    pub(super) fn conclude(mut self, path: &Path, text: &str, syntax_errors: &[toml::de::Error]) -> (Vec<Mistake>, Arc<Source>) {
        let lines = Lines::of(text);
        let pasted = masking::pem_blocks(text);
        let pasted_lines: Vec<Range<usize>> = pasted.iter().map(|block| lines.shared_with(block, text)).collect();
        let beside_pasted = |line: usize| !pasted_lines.iter().any(|touched| touched.contains(&line));
        let (errors, broken) = one_per_line(syntax_errors, text, &lines);

        self.found.retain(|finding| {
            let line = lines.at(finding.place.span().start);
            beside_pasted(line) && (broken.is_empty() || !finding.about_absence && !broken.contains(&line))
        });
        for error in errors.into_iter().filter(|error| beside_pasted(lines.at(error.place.span().start))) {
            self.mistake(error.place, error.text, error.help);
        }
        for block in pasted {
            self.mistake(
                Place::new(block),
                "a key or certificate stands in this file itself: only the name of a file that holds it does",
                "put it in a file of its own, readable by Portvakt alone, and name that file: for example `private_key_file = \"key.pem\"`",
            );
        }
        self.found.sort_by_key(|finding| finding.place);
        let source = Arc::new(Source::new(path.to_owned(), text, &self.secrets));
        let mistakes = self.found.into_iter().map(|finding| finding.into_mistake(&source)).collect();
        (mistakes, source)
    }
}

impl Finding {
    fn into_mistake(self, source: &Arc<Source>) -> Mistake {
        let mistake = Mistake::new(self.severity, self.place, &self.text, &self.help, Arc::clone(source)).about(self.subject);
        match self.other {
            Some((place, label)) => mistake.with_other(place, &label),
            None => mistake,
        }
    }
}

/// The first error of each line, for one cause seldom has one; and the lines that have any.
fn one_per_line(syntax_errors: &[toml::de::Error], text: &str, lines: &Lines) -> (Vec<syntax::SyntaxError>, Vec<usize>) {
    let mut errors: Vec<syntax::SyntaxError> = syntax_errors.iter().map(|error| syntax::explain(error, text)).collect();
    errors.sort_by_key(|error| error.place);
    let broken: Vec<usize> = errors.iter().map(|error| lines.at(error.place.span().start)).collect();
    errors.dedup_by_key(|error| lines.at(error.place.span().start));
    errors.dedup_by(|error, earlier| error.text == earlier.text && syntax::repeats_itself(&error.text));
    (errors, broken)
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    /// The lines of a block, and the one before when the block begins its line: there stands the key that it belongs to.
    fn shared_with(&self, block: &Range<usize>, text: &str) -> Range<usize> {
        let first = self.at(block.start);
        let line_start = first.checked_sub(1).and_then(|index| self.0.get(index)).copied().unwrap_or_default();
        let alone = text.get(line_start..block.start).is_some_and(|before| before.trim().is_empty());
        first.saturating_sub(usize::from(alone))..self.at(block.end) + 1
    }
}
