//! An API definition for Gravitee, before it is imported or as it was exported.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::gravitee;
use super::finding::{Finding, Name, Stage, or_ok};
use super::runner::Check;
use crate::config::Config;

/// No definition is larger; a device that never ends is not read to the end of memory.
const LARGEST: u64 = 16 * 1024 * 1024;

pub(super) fn name(file: &Path) -> Name {
    Stage::Gravitee.of(file.display().to_string())
}

pub(super) fn check(file: &Path, config: &Config) -> Check {
    Check::known(name(file), "reading the API definition", findings(file, config))
}

fn findings(file: &Path, config: &Config) -> Vec<Finding> {
    let text = match contents(file) {
        Ok(text) => text,
        Err(error) => return vec![Finding::failed(format!("it cannot be read: {error}"), "Name a file that the console has exported.")],
    };
    match gravitee::inspect(&text, config) {
        Ok(inspected) => or_ok(inspected.findings.into_iter().map(Finding::from).collect(), || inspected.summary),
        Err(error) => vec![Finding::failed(error.to_string(), "Export the API in the console (Export, JSON), and name that file.")],
    }
}

/// It may have an API key in it.
fn contents(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(file)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

impl From<gravitee::Finding> for Finding {
    fn from(finding: gravitee::Finding) -> Self {
        if finding.failed { Self::failed(finding.found, finding.remedy) } else { Self::warning(finding.found, finding.remedy) }
    }
}
