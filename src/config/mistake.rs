//! A mistake in the operator's file: where it stands, what is wrong, what to write instead.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use thiserror::Error;

use super::masking;

/// Where something stands in the operator's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// In bytes from the file's beginning.
    start: usize,
    end: usize,
}

impl Place {
    /// Where the file begins: for what stands nowhere.
    pub const BEGINNING: Self = Self { start: 0, end: 0 };

    /// Bytes of the file's text.
    pub(super) fn new(span: Range<usize>) -> Self {
        Self { start: span.start, end: span.end.max(span.start) }
    }

    pub(super) fn span(self) -> Range<usize> {
        self.start..self.end
    }
}

/// The operator's file as mistakes show it: what looks like a secret in it is masked.
pub(super) struct Source {
    path: PathBuf,
    masked: String,
}

impl Source {
    /// `text` with `secrets`, and all that looks like one, made unreadable.
    pub(super) fn new(path: PathBuf, text: &str, secrets: &[Range<usize>]) -> Self {
        let masked = masking::masked(text, secrets);
        Self { path, masked }
    }

    /// Line and column, both counted from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.masked.get(..self.boundary(offset)).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        let column = before.get(line_start..).map_or(0, |text| text.chars().count());
        (before.matches('\n').count() + 1, column + 1)
    }

    /// `line 12 of portvakt.toml`
    pub(super) fn line_of(&self, place: Place) -> String {
        let file = self.path.file_name().unwrap_or(self.path.as_os_str());
        format!("line {} of {}", self.position(place.start).0, file.to_string_lossy())
    }

    /// The nearest place at or before `offset` where a character begins.
    fn boundary(&self, offset: usize) -> usize {
        let offset = offset.min(self.masked.len());
        (0..=offset).rev().find(|index| self.masked.is_char_boundary(*index)).unwrap_or_default()
    }

    /// What is underlined: of a place that spans several lines, the part on its first line.
    fn underlined(&self, place: Place) -> Range<usize> {
        let start = self.boundary(place.start);
        let line_end = self.masked.get(start..).and_then(|rest| rest.find(['\n', '\r'])).map_or(self.masked.len(), |length| start + length);
        start..self.boundary(place.end).clamp(start, line_end)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether a mistake stops the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but should be mended.
    Warning,
}

/// What a mistake is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// What the operator's file says.
    Configuration,
    /// A file with a secret in it, that the operator's file names: it cannot be used, or others can read it.
    SecretFile,
}

/// Whether a rendering has colours (ANSI escape codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Plain text.
    Without,
    /// For a terminal.
    With,
}

/// One thing in the operator's file that is wrong, or should be better.
///
/// [`Mistake::render`] shows it with its line; the `Display` form is one line for a log. Neither ever shows a secret that was
/// pasted into the file: its characters are masked.
#[derive(Clone, Debug)]
pub struct Mistake {
    severity: Severity,
    subject: Subject,
    place: Place,
    text: String,
    help: String,
    other: Option<(Place, String)>,
    source: Arc<Source>,
}

impl Mistake {
    /// Texts may hold what the file holds, so they are masked here, in one place for all of them.
    pub(super) fn new(severity: Severity, place: Place, text: &str, help: &str, source: Arc<Source>) -> Self {
        let (text, help) = (masking::masked_text(text), masking::masked_text(help));
        Self { severity, subject: Subject::Configuration, place, text, help, other: None, source }
    }

    pub(super) fn about(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// A second place that belongs to it: where the same name was given first, for example.
    pub(super) fn with_other(mut self, place: Place, label: &str) -> Self {
        self.other = Some((place, masking::masked_text(label)));
        self
    }

    /// Whether it stops the start.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.source.position(self.place.start).0
    }

    /// The column, in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.source.position(self.place.start).1
    }

    /// What is wrong.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What to write instead.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// File, line, column, the line itself, what is wrong and what to write instead. Several lines, without a line break at the end.
    pub fn render(&self, colours: Colours) -> String {
        let renderer = match colours {
            Colours::Without => Renderer::plain(),
            Colours::With => Renderer::styled(),
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut snippet = Snippet::source(&*self.source.masked)
            .path(self.source.path.to_string_lossy())
            .annotation(AnnotationKind::Primary.span(self.source.underlined(self.place)));
        if let Some((place, label)) = &self.other {
            snippet = snippet.annotation(AnnotationKind::Context.span(self.source.underlined(*place)).label(label));
        }
        let group = level.primary_title(&*self.text).element(snippet).element(Level::HELP.message(&*self.help));
        renderer.render(&[group])
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.position(self.place.start);
        write!(f, "{}:{line}:{column}: {}; {}", self.source.path.display(), self.text, self.help)
    }
}

/// Why the operator's file cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read at all.
    #[error("cannot read the configuration file `{}`: {error}. Name another one with --config FILE or PORTVAKT_CONFIG, or mend its permissions", path.display())]
    Unreadable {
        /// The file that was tried.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// All mistakes of the file, warnings among them, in the file's order.
    #[error("{}", render(.0, Colours::Without))]
    Mistakes(Vec<Mistake>),
}

impl ConfigError {
    /// The mistakes; none when the file could not be read.
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Mistakes(mistakes) => mistakes,
        }
    }

    /// All of it, as an operator reads it on a terminal. Without a line break at the end.
    pub fn render(&self, colours: Colours) -> String {
        match self {
            Self::Unreadable { .. } => self.to_string(),
            Self::Mistakes(mistakes) => render(mistakes, colours),
        }
    }
}

impl From<Vec<Mistake>> for ConfigError {
    fn from(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.place);
        Self::Mistakes(mistakes)
    }
}

fn render(mistakes: &[Mistake], colours: Colours) -> String {
    let shown: Vec<String> = mistakes.iter().map(|mistake| mistake.render(colours)).collect();
    shown.join("\n\n")
}
