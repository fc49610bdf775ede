//! Files that a command makes: never in place of another, and none left behind when the command fails.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Failure;

/// Who may read a new file, from its first moment on; the process's umask can only take away from it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Readers {
    /// Mode 0600: it holds a secret.
    OwnerOnly,
    /// Mode 0644.
    Everyone,
}

/// The files that a command has made so far. Unless [`NewFiles::keep`] is called, all of them are removed again.
#[derive(Default)]
pub(super) struct NewFiles {
    made: Vec<PathBuf>,
}

/// A file was not made.
#[derive(Debug, Error)]
pub(super) enum NewFileError {
    /// Whatever stands there, a link to nothing included.
    #[error("{} exists already, and is never overwritten: {remedy}", path.display())]
    Exists { path: PathBuf, remedy: &'static str },
    #[error("{} could not be written: {source}", path.display())]
    NotWritten { path: PathBuf, source: io::Error },
}

impl NewFiles {
    /// Makes a file, and sees to it that it has reached the disk. `remedy`: what to do when there is one of that name.
    pub(super) fn write(&mut self, path: &Path, readers: Readers, contents: &[u8], remedy: &'static str) -> Result<(), NewFileError> {
        let mode = match readers {
            Readers::OwnerOnly => 0o600,
            Readers::Everyone => 0o644,
        };
        let not_written = |source| NewFileError::NotWritten { path: path.to_owned(), source };
        // O_EXCL: between looking and writing, nobody can put a file or a link there.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => NewFileError::Exists { path: path.to_owned(), remedy },
            _ => not_written(error),
        })?;
        self.made.push(path.to_owned());
        file.write_all(contents).and_then(|()| file.sync_all()).map_err(not_written)
    }

    /// The command has done its work: they stay.
    pub(super) fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for path in &self.made {
            let _ = fs::remove_file(path);
        }
    }
}

impl From<NewFileError> for Failure {
    fn from(error: NewFileError) -> Self {
        match error {
            NewFileError::Exists { .. } => Self::misused(error),
            NewFileError::NotWritten { .. } => Self::failed(error),
        }
    }
}
