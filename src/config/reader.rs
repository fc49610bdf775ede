//! Reads the parsed document key by key. A mistake is noted and reading goes on, so that all of them are found in one go.

use toml::de::{DeTable, DeValue};

use super::findings::Findings;
use super::masking;
use super::mistake::Place;

/// A key of the file: its name, and a value as one would write it, for the help line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) example: &'static str,
}

impl Field {
    pub(super) const fn new(name: &'static str, example: &'static str) -> Self {
        Self { name, example }
    }

    /// ``write for example `listen = "127.0.0.1:8080"` ``
    pub(super) fn help(self) -> String {
        format!("write for example `{} = {}`", self.name, self.example)
    }
}

/// A value with its place and the key that it belongs to (an element of a list belongs to the list's).
#[derive(Clone, Copy)]
pub(super) struct Item<'t> {
    pub(super) field: Field,
    pub(super) place: Place,
    value: &'t DeValue<'t>,
}

/// A table of the file. Keys that nobody asked for are unknown: [`Table::finish`] reports them.
pub(super) struct Table<'t> {
    /// As a reader of the file would call it: `[server]`, `a rule`.
    title: String,
    pub(super) place: Place,
    entries: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    pub(super) fn new(title: impl Into<String>, place: Place, entries: &'t DeTable<'t>) -> Self {
        Self { title: title.into(), place, entries, known: Vec::new() }
    }

    /// The value of a key that may be left out.
    pub(super) fn optional(&mut self, field: Field) -> Option<Item<'t>> {
        self.known.push(field.name);
        let value = self.entries.get(field.name)?;
        Some(Item { field, place: Place::new(value.span()), value: value.get_ref() })
    }

    /// The value of a key that must be there.
    pub(super) fn required(&mut self, field: Field, findings: &mut Findings) -> Option<Item<'t>> {
        let item = self.optional(field);
        if item.is_none() {
            findings.missing(self.place, format!("{} has no `{}`", self.title, field.name), field.help());
        }
        item
    }

    /// A `[table]` of the file; when it is left out, an empty one, so that its defaults apply.
    pub(super) fn section(&mut self, field: Field, empty: &'t DeTable<'t>, findings: &mut Findings) -> Option<Table<'t>> {
        match self.optional(field) {
            Some(item) => item.table(findings),
            None => Some(Table::new(format!("[{}]", field.name), self.place, empty)),
        }
    }

    /// The tables that a table has, with their names: `[environment.simulator]`.
    pub(super) fn named_tables(self, findings: &mut Findings) -> Vec<(&'t str, Place, Table<'t>)> {
        let mut tables = Vec::new();
        for (key, value) in self.entries {
            let name: &str = key.get_ref();
            let place = Place::new(key.span());
            match value.get_ref() {
                DeValue::Table(entries) => {
                    tables.push((name, place, Table::new(format!("[environment.{name}]"), Place::new(value.span()), entries)));
                }
                _ => findings.mistake(
                    place,
                    format!("`{}` stands in [environment] itself", quotable(name)),
                    "an environment has a table of its own: write for example `[environment.simulator]`",
                ),
            }
        }
        tables
    }

    /// Reports every key that was not asked for. Says whether there was none.
    pub(super) fn finish(self, findings: &mut Findings) -> bool {
        let mut all_known = true;
        for (key, value) in self.entries {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            all_known = false;
            let place = Place::new(key.span());
            if masking::is_secret_name(name) && !self.is_nearly_a_file(name) {
                findings.secret(Place::new(value.span()));
                let text = format!("`{}`: a secret is never in this file, only the name of a file that holds it", quotable(name));
                findings.mistake(place, text, self.secret_help(name));
            } else {
                findings.mistake(place, format!("unknown key `{}` in {}", quotable(name), self.title), self.known_help(name));
            }
        }
        all_known
    }

    /// Names of files, ours: what such a name holds is no secret.
    fn files(&self) -> Vec<&'static str> {
        self.known.iter().copied().filter(|known| known.ends_with("file")).collect()
    }

    /// `pasword_file`, `private_key_fil`
    fn is_nearly_a_file(&self, name: &str) -> bool {
        const TYPING_ERRORS: usize = 2;
        self.files().iter().any(|file| strsim::damerau_levenshtein(name, file) <= TYPING_ERRORS)
    }

    fn secret_help(&self, name: &str) -> String {
        match nearest(&format!("{name}_file"), &self.files()) {
            Some(field) => format!("put it in a file of its own, readable by Portvakt alone, and write `{field} = \"FILE\"`"),
            None => "put it in a file of its own, readable by Portvakt alone, and name that file where it is used".to_owned(),
        }
    }

    fn known_help(&self, name: &str) -> String {
        match nearest(name, &self.known) {
            Some(known) => format!("write `{known}`"),
            None => format!("known here: {}", listed(&self.known)),
        }
    }
}

impl<'t> Item<'t> {
    /// Notes that the value is not what it should be.
    pub(super) fn wrong(&self, text: impl Into<String>, findings: &mut Findings) {
        findings.mistake(self.place, text, self.field.help());
    }

    fn wrong_type(&self, expected: &str, findings: &mut Findings) {
        self.wrong(format!("`{}` must be {expected}, and this is {}", self.field.name, kind(self.value)), findings);
    }

    /// The text, when it is one; nothing is noted.
    pub(super) fn as_text(&self) -> Option<&'t str> {
        self.value.as_str()
    }

    /// The table's entries, when it is one; nothing is noted.
    pub(super) fn as_table(&self, title: impl Into<String>) -> Option<Table<'t>> {
        self.value.as_table().map(|entries| Table::new(title, self.place, entries))
    }

    /// The date or date-time, when it is one; nothing is noted.
    pub(super) fn as_datetime(&self) -> Option<&'t toml::value::Datetime> {
        self.value.as_datetime()
    }

    pub(super) fn text(&self, findings: &mut Findings) -> Option<&'t str> {
        let text = self.as_text();
        if text.is_none() {
            self.wrong_type("text in quotes", findings);
        }
        text
    }

    pub(super) fn boolean(&self, findings: &mut Findings) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            self.wrong_type("true or false", findings);
        }
        boolean
    }

    /// A whole number that is at least 1.
    pub(super) fn count(&self, findings: &mut Findings) -> Option<u64> {
        let Some(integer) = self.value.as_integer() else {
            self.wrong_type("a whole number", findings);
            return None;
        };
        let count = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|count| *count > 0);
        if count.is_none() {
            self.wrong(format!("`{}` must be a whole number from 1 on", self.field.name), findings);
        }
        count
    }

    pub(super) fn list(&self, findings: &mut Findings) -> Option<Vec<Item<'t>>> {
        let Some(array) = self.value.as_array() else {
            self.wrong_type("a list", findings);
            return None;
        };
        Some(array.iter().map(|value| Item { field: self.field, place: Place::new(value.span()), value: value.get_ref() }).collect())
    }

    /// A list with texts, each with its place. What is no text is noted and left out.
    pub(super) fn texts(&self, findings: &mut Findings) -> Option<Vec<(&'t str, Item<'t>)>> {
        let items = self.list(findings)?;
        let mut texts = Vec::new();
        for item in items {
            match item.as_text() {
                Some(text) => texts.push((text, item)),
                None => item.wrong(format!("`{}` is a list of texts, and this is {}", self.field.name, kind(item.value)), findings),
            }
        }
        Some(texts)
    }

    /// A `[table]`.
    pub(super) fn table(&self, findings: &mut Findings) -> Option<Table<'t>> {
        let title = format!("[{}]", self.field.name);
        let table = self.as_table(&title);
        if table.is_none() {
            findings.mistake(
                self.place,
                format!("`{}` must be a table, and this is {}", self.field.name, kind(self.value)),
                format!("write `{title}` on a line of its own, and its keys below"),
            );
        }
        table
    }

    /// A `[[table]]` that may stand in the file several times. A single `[table]` is noted, and read all the same.
    pub(super) fn tables(&self, findings: &mut Findings) -> Vec<Table<'t>> {
        let title = format!("[[{}]]", self.field.name);
        let elements = match self.value {
            DeValue::Array(array) => array.iter().map(|value| (Place::new(value.span()), value.get_ref())).collect(),
            value => vec![(self.place, value)],
        };
        let all_tables = self.value.is_array() && elements.iter().all(|(_, value)| value.is_table());
        if !all_tables {
            findings.mistake(
                self.place,
                format!("`{}` must be a list of tables, and this is not", self.field.name),
                format!("write `{title}`, with double brackets, on a line of its own before each one"),
            );
        }
        let tables = elements.into_iter().filter_map(|(place, value)| Some(Table::new(&title, place, value.as_table()?)));
        tables.collect()
    }
}

/// TOML's types as an operator would call them.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The candidate that was most likely meant: at most a third of its letters differ.
pub(crate) fn nearest<'c>(name: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    let distances = candidates.iter().map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), *candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (wanted.chars().count().max(candidate.chars().count()) / 3).max(1)).then_some(candidate)
}

/// `a, b, c`
pub(super) fn listed(names: &[&str]) -> String {
    names.join(", ")
}

/// A text of the file as a message can quote it: on one line, and not endless.
pub(super) fn quotable(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = String::new();
    for character in text.chars().take(LONGEST) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.chars().count() > LONGEST {
        shown.push('…');
    }
    shown
}
