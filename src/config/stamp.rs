//! What tells that a file has changed: looked at, without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that a configuration was read from, as it was just before that.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Absolute, unless it is the operator's file.
    pub path: PathBuf,
    /// None: it could not be found, or not be looked at.
    pub stamp: Option<Stamp>,
}

/// Another one for every change of a file, of its permissions, and of the links that lead to it.
///
/// It is that of the file at the end of all symbolic links: Kubernetes changes a mounted secret by turning one link over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// As it is now.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl SourceFile {
    /// As it is now.
    pub(super) fn look(path: &Path) -> Self {
        Self { path: path.to_owned(), stamp: Stamp::of(path) }
    }
}
