//! What is no TOML, in words that help.

use toml::de::Error;

use super::mistake::Place;
use super::reader::quotable;

/// A place that the TOML parser did not understand.
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) text: String,
    pub(super) help: String,
}

/// The parser's message, and what to write instead. `text` is the whole file.
pub(super) fn explain(error: &Error, text: &str) -> SyntaxError {
    let place = Place::new(error.span().unwrap_or(0..0));
    let message = error.message();
    if message == "duplicate key" {
        let name = text.get(place.span()).unwrap_or_default();
        let text = format!("`{}` is given twice", quotable(name));
        return SyntaxError {
            place,
            text,
            help: "keep one of the two; what may stand several times has double brackets, as `[[integration]]`".to_owned(),
        };
    }
    let what = if is_unquoted(message) { "text without quotes, or a number that is none" } else { message };
    SyntaxError { place, text: format!("this is not TOML: {what}"), help: help_for(message).to_owned() }
}

/// Whether the parser says the same of every line that follows, until what is open is closed.
pub(super) fn repeats_itself(text: &str) -> bool {
    ["missing comma", "unclosed"].iter().any(|words| text.contains(words))
}

/// The parser guesses a value's type by its first character, and names what that type lacks.
fn is_unquoted(message: &str) -> bool {
    ["must be quoted", "invalid float", "invalid integer", "invalid boolean", "invalid number", "leading zero"]
        .iter()
        .any(|words| message.contains(words))
}

fn help_for(message: &str) -> &'static str {
    let about = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if about(&["date", "time"]) {
        "a date is written `2027-01-31`, a moment `2027-01-31T12:00:00Z`, both without quotes"
    } else if is_unquoted(message) {
        "put text in quotes: for example `listen = \"127.0.0.1:8080\"`"
    } else if about(&["escape"]) {
        "in double quotes a backslash is written `\\\\`; in single quotes it stands for itself"
    } else if about(&["basic string", "literal string"]) {
        "close the text with the quote that it begins with, on the same line"
    } else if about(&["no value", "missing value"]) {
        "write `key = value`, text in quotes"
    } else if about(&["array", "inline table", "missing comma", "unclosed"]) {
        "look for a comma, a `]` or a `}` that is missing here or just before"
    } else {
        "write `key = value`, a `[table]` or a `# comment`; https://toml.io shows the rest"
    }
}
