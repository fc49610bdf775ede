//! From the file's name to the whole configuration, or to everything that is wrong with it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use toml::de::DeTable;

use super::checks::Names;
use super::findings::Findings;
use super::integrations::Around;
use super::mistake::{ConfigError, Mistake, Place, Severity, Source};
use super::reader::{Field, Table};
use super::sections::Environments;
use super::stamp::SourceFile;
use super::{Caller, Config, Integration, callers, integrations, sections};

const SERVER: Field = Field::new("server", "{ listen = \"127.0.0.1:8080\" }");
const MANAGEMENT: Field = Field::new("management", "{ listen = \"127.0.0.1:9464\" }");
const OUTBOUND: Field = Field::new("outbound", "{ deadline = \"8s\" }");
const CACHE: Field = Field::new("cache", "{ max_tokens = 100_000 }");
const ENVIRONMENT: Field = Field::new("environment", "{}");
const INTEGRATION: Field = Field::new("integration", "[]");
const CALLER: Field = Field::new("caller", "[]");

impl Config {
    /// Reads the file and everything that it names, and checks all of it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`] when the file itself cannot be read; otherwise [`ConfigError::Mistakes`] with all mistakes of
    /// the file at once, its warnings among them.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::inspect(path)?.into_config()
    }

    /// The same, with the files that it was read from: what has to change before another result can come of it.
    pub fn load_with_sources(path: &Path) -> Loaded {
        let mut sources = vec![SourceFile::look(path)];
        let config = Self::inspect(path).and_then(|mut inspection| {
            sources.append(&mut inspection.sources);
            inspection.into_config()
        });
        Loaded { config, sources }
    }

    /// Reads the file as [`Config::load`] does, for who wants to see as much of it as can be used, whatever is wrong with the rest.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`] when the file itself cannot be read.
    pub fn inspect(path: &Path) -> Result<Inspection, ConfigError> {
        let unreadable = |error: io::Error| ConfigError::Unreadable { path: path.to_owned(), error };
        let bytes = contents(path).map_err(unreadable)?;
        let directory = directory_of(path).map_err(unreadable)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(read(path, &directory, &text)),
            Err(error) => Ok(not_utf8(path, &error)),
        }
    }

    /// A mistake that only shows later, when a key file is opened for example: at a place that this configuration came with.
    pub fn mistake(&self, place: Place, text: &str, help: &str) -> Mistake {
        Mistake::new(Severity::Error, place, text, help, Arc::clone(&self.source))
    }

    /// A place as people look for it: `line 12 of portvakt.toml`. The file's directory is left out: not only operators read it.
    pub fn line_of(&self, place: Place) -> String {
        self.source.line_of(place)
    }
}

/// The operator's file, and what it was read from.
#[derive(Debug)]
pub struct Loaded {
    /// As [`Config::load`] has it.
    pub config: Result<Config, ConfigError>,
    /// The file itself first, then those that it names, also those that could not be read. Looked at before they were read: what changes
    /// meanwhile is not missed.
    pub sources: Vec<SourceFile>,
}

/// What can be said of a file, whether it can be used or not.
#[derive(Debug)]
pub struct Inspection {
    /// As much as could be read: integrations and callers with mistakes are left out, and warnings are among the mistakes. None when too
    /// much is wrong to tell what the rest means.
    pub config: Option<Config>,
    /// All that is wrong, or should be better, in the file's order.
    pub mistakes: Vec<Mistake>,
    /// The names of the integrations that are left out.
    pub left_out: Vec<String>,
    /// Whether `[outbound]` has mistakes: then `config` does not say how to reach Maskinporten.
    pub outbound_is_wrong: bool,
    /// The files that the file names, as far as it could be read.
    sources: Vec<SourceFile>,
}

impl Inspection {
    /// The configuration, if nothing is wrong with it.
    fn into_config(self) -> Result<Config, ConfigError> {
        match self.config {
            Some(config) if self.mistakes.iter().all(|mistake| mistake.severity() == Severity::Warning) => {
                Ok(Config { warnings: self.mistakes, ..config })
            }
            _ => Err(ConfigError::from(self.mistakes)),
        }
    }
}

/// No file of this kind is larger; a device that never ends is not read to the end of memory.
const LARGEST: u64 = 4 * 1024 * 1024;

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
    }
    Ok(bytes)
}

/// What relative paths in the file are relative to. Absolute, so that it still holds when the process changes its directory.
fn directory_of(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    Ok(absolute.parent().unwrap_or(&absolute).to_owned())
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Inspection {
    let valid = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let source = Arc::new(Source::new(path.to_owned(), &text, &[]));
    let place = Place::new(valid..valid + char::REPLACEMENT_CHARACTER.len_utf8());
    let mistake = Mistake::new(Severity::Error, place, "this is not UTF-8", "save the file as UTF-8 text", source);
    Inspection { config: None, mistakes: vec![mistake], left_out: Vec::new(), outbound_is_wrong: false, sources: Vec::new() }
}

fn read(path: &Path, directory: &Path, text: &str) -> Inspection {
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let empty = DeTable::new();
    let mut findings = Findings::default();
    let parts = Parts::read(document.get_ref(), &empty, directory, &mut findings);
    let sources = findings.take_sources();
    let (mistakes, source) = findings.conclude(path, text, &syntax_errors);
    // After broken syntax nobody knows what belongs to what.
    let parts = parts.filter(|_| syntax_errors.is_empty());
    let left_out = parts.as_ref().map_or_else(Vec::new, Parts::left_out);
    let outbound_is_wrong = parts.as_ref().is_some_and(|parts| parts.outbound_is_wrong);
    Inspection { config: parts.map(|parts| parts.into_config(source)), mistakes, left_out, outbound_is_wrong, sources }
}

/// The file's tables, read.
struct Parts {
    server: super::Server,
    management: super::Management,
    outbound: super::Outbound,
    cache: super::Cache,
    integrations: Vec<Integration>,
    callers: Vec<Caller>,
    /// The names of all integrations, also of those with mistakes.
    names: Vec<String>,
    outbound_is_wrong: bool,
}

impl Parts {
    /// `None`: there are mistakes. Integrations and callers with mistakes are left out.
    fn read<'t>(document: &'t DeTable<'t>, empty: &'t DeTable<'t>, directory: &Path, findings: &mut Findings) -> Option<Self> {
        let mut root = Table::new("the file", Place::new(0..0), document);
        let server = root.section(SERVER, empty, findings);
        let management = root.section(MANAGEMENT, empty, findings);
        let listeners = sections::listeners(server, management, findings);
        let errors = findings.errors();
        let outbound = root.section(OUTBOUND, empty, findings).and_then(|table| sections::outbound(table, directory, findings));
        let outbound_is_wrong = findings.errors() > errors;
        let cache = root.section(CACHE, empty, findings).and_then(|table| sections::cache(table, findings));
        let environments = root.section(ENVIRONMENT, empty, findings).map(|table| Environments::read(table, findings)).unwrap_or_default();
        let mut names = Names::default();
        let integrations =
            read_integrations(&mut root, &mut Around { directory, environments: &environments, names: &mut names }, findings);
        let callers = read_callers(&mut root, directory, &mut names, findings);
        names.check(findings);
        let names = names.integration_names();
        root.finish(findings);
        let (server, management) = listeners?;
        Some(Self { server, management, outbound: outbound?, cache: cache?, integrations, callers, names, outbound_is_wrong })
    }

    fn left_out(&self) -> Vec<String> {
        let is_there = |name: &String| self.integrations.iter().any(|integration| integration.name == *name);
        self.names.iter().filter(|name| !is_there(name)).cloned().collect()
    }

    fn into_config(self, source: Arc<Source>) -> Config {
        let Self { server, management, outbound, cache, integrations, callers, .. } = self;
        Config { server, management, outbound, cache, integrations, callers, warnings: Vec::new(), source }
    }
}

fn read_integrations<'t>(root: &mut Table<'t>, around: &mut Around<'_, 't>, findings: &mut Findings) -> Vec<Integration> {
    let Some(item) = root.optional(INTEGRATION) else {
        let help = "write `[[integration]]`, with its name, client_id, environment and key";
        findings.missing(root.place, "the file has no integration: there is nothing to get a token for", help);
        return Vec::new();
    };
    let tables = item.tables(findings);
    tables.into_iter().filter_map(|table| integrations::integration(table, around, findings)).collect()
}

fn read_callers<'t>(root: &mut Table<'t>, directory: &Path, names: &mut Names<'t>, findings: &mut Findings) -> Vec<Caller> {
    let Some(item) = root.optional(CALLER) else {
        findings.missing(
            root.place,
            "the file has no caller: nobody could ask for a token",
            "write `[[caller]]`, with its name, keys and what it may have",
        );
        return Vec::new();
    };
    let tables = item.tables(findings);
    tables.into_iter().filter_map(|table| callers::caller(table, directory, names, findings)).collect()
}
