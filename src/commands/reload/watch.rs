//! Whether a file has changed from which the configuration was read.
//!
//! By looking at it: this works on every file system, through every kind of link, and for files that are not there yet.

use std::path::PathBuf;

use crate::config::{SourceFile, Stamp};

/// The files, as they were when they were last read.
#[derive(Debug)]
pub(super) struct Watch {
    sources: Vec<SourceFile>,
    /// As they were when it was last looked.
    last: Vec<Option<Stamp>>,
    /// Looks since one of them was first seen to have changed.
    restless: u32,
}

/// So many looks a change waits for the files to come to rest, and no more: one that is always written to is not to put off a revoked key.
const MOST_RESTLESS: u32 = 5;

impl Watch {
    pub(super) fn new(sources: Vec<SourceFile>) -> Self {
        let last = sources.iter().map(|source| source.stamp).collect();
        Self { sources, last, restless: 0 }
    }

    /// The files that have changed since they were read, once none of them has changed since the last look: files are written in several
    /// steps, and several files one after another. They are not waited for without end.
    pub(super) fn changed(&mut self) -> Option<Vec<PathBuf>> {
        let now: Vec<Option<Stamp>> = self.sources.iter().map(|source| Stamp::of(&source.path)).collect();
        let is_steady = now == self.last;
        let mut changed: Vec<PathBuf> = Vec::new();
        for (source, now) in self.sources.iter().zip(&now) {
            // A file may be named twice.
            if source.stamp != *now && !changed.contains(&source.path) {
                changed.push(source.path.clone());
            }
        }
        self.last = now;
        self.restless = if changed.is_empty() { 0 } else { self.restless + 1 };
        (!changed.is_empty() && (is_steady || self.restless > MOST_RESTLESS)).then_some(changed)
    }

    /// As the files are now, they have been looked at: only another change is one.
    pub(super) fn is_read(&mut self) {
        for source in &mut self.sources {
            source.stamp = Stamp::of(&source.path);
        }
        self.restless = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn watch(paths: &[PathBuf]) -> Watch {
        Watch::new(paths.iter().map(|path| SourceFile { path: path.clone(), stamp: Stamp::of(path) }).collect())
    }

    #[test]
    fn a_change_is_told_of_when_it_has_come_to_rest() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        fs::write(&one, "1").unwrap();
        let mut watch = watch(&[one.clone(), other.clone(), one.clone()]);
        assert_eq!((watch.changed(), watch.changed()), (None, None));
        fs::write(&one, "12").unwrap();
        assert_eq!(watch.changed(), None);
        fs::write(&one, "123").unwrap();
        assert_eq!(watch.changed(), None);
        fs::write(&other, "it was not there").unwrap();
        assert_eq!(watch.changed(), None);
        assert_eq!(watch.changed(), Some(vec![one.clone(), other.clone()]));
        let mut watch = super::tests::watch(&[one.clone(), other.clone()]);
        for number in 0..=MOST_RESTLESS {
            assert_eq!(watch.changed(), None, "{number}");
            fs::write(&one, "1".repeat(9 + number as usize)).unwrap();
        }
        assert_eq!(watch.changed(), Some(vec![one.clone()]), "it never comes to rest");
        watch.is_read();
        assert_eq!((watch.changed(), watch.changed()), (None, None));
        fs::remove_file(&other).unwrap();
        assert_eq!((watch.changed(), watch.changed()), (None, Some(vec![other])));
    }
}
