//! The files that `init` writes, and how portvakt.toml names those that stand beside it.

use std::path::{Path, PathBuf};

use super::super::Failure;

/// What to do when a file is there already.
pub(super) const ANOTHER: &str = "move it away, or write into another directory with --config DIRECTORY/portvakt.toml";

/// The files that `init` writes: portvakt.toml where `--config` says, the others beside it.
pub(super) struct Targets {
    pub(super) configuration: PathBuf,
    pub(super) private_key: PathBuf,
    pub(super) public_key: PathBuf,
    pub(super) clients: PathBuf,
    /// Absolute.
    directory: PathBuf,
}

pub(super) const PRIVATE_KEY: &str = "key.pem";
pub(super) const PUBLIC_KEY: &str = "key.public.jwk";
pub(super) const CLIENTS: &str = "clients.toml";

impl Targets {
    pub(super) fn beside(configuration: &Path) -> Result<Self, Failure> {
        let absolute =
            std::path::absolute(configuration).map_err(|error| Failure::misused(format_args!("{}: {error}", configuration.display())))?;
        let directory = absolute.parent().unwrap_or(&absolute).to_owned();
        if !directory.is_dir() {
            return Err(Failure::misused(format_args!(
                "{} is no directory that a file could be written into: make it first",
                directory.display()
            )));
        }
        Ok(Self {
            configuration: configuration.to_owned(),
            private_key: configuration.with_file_name(PRIVATE_KEY),
            public_key: configuration.with_file_name(PUBLIC_KEY),
            clients: configuration.with_file_name(CLIENTS),
            directory,
        })
    }

    /// Told before anything is asked. What comes between here and the writing is noticed there.
    pub(super) fn are_free(&self, with_key: bool) -> Result<(), Failure> {
        let keys = [&self.private_key, &self.public_key].into_iter().filter(|_| with_key);
        for file in std::iter::once(&self.configuration).chain(keys) {
            if file.symlink_metadata().is_ok() {
                return Err(Failure::misused(format_args!("{} exists already, and is never overwritten: {ANOTHER}", file.display())));
            }
        }
        Ok(())
    }

    /// A file as portvakt.toml is to name it: relative when it lies beside it or below, absolute otherwise.
    pub(super) fn name_of(&self, file: &Path) -> Result<String, String> {
        let absolute = std::path::absolute(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let named = absolute.strip_prefix(&self.directory).unwrap_or(&absolute);
        named
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("{} is not UTF-8, which a TOML file could not name: rename it", file.display()))
    }
}
