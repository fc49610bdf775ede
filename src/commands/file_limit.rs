//! How many files, and so connections, this process may have open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections that are held at most, however many files there may be: each takes memory.
const MOST_CONNECTIONS: usize = 50_000;
/// Kept for exchanges, keys, the log and the threads' own, unless that is more than half of all.
const KEPT: usize = 512;
/// Of the connections, one in so many is for management, up to a number that nobody needs.
const MANAGEMENT_SHARE: usize = 8;
const MOST_MANAGEMENT_CONNECTIONS: usize = 128;
/// Fewer files than these are worth a warning.
const ENOUGH: usize = 4096;
/// With fewer the listeners' own threads cannot be had.
const LEAST: usize = 128;

/// The limit of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileLimit {
    files: usize,
}

impl FileLimit {
    /// Raises it as far as the system lets everybody.
    pub(super) fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
        let files = if raised { maximum } else { current };
        // None: without a limit.
        Self { files: files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX) }
    }

    /// None: without a limit.
    pub(super) fn files(self) -> Option<usize> {
        (self.files < usize::MAX).then_some(self.files)
    }

    pub(super) fn is_too_low(self) -> bool {
        self.files < LEAST
    }

    pub(super) fn is_low(self) -> bool {
        self.files < ENOUGH
    }

    /// How many connections the listener for tokens holds.
    pub(super) fn connections(self) -> usize {
        self.for_connections() - self.management_connections()
    }

    /// How many connections the management listener holds.
    pub(super) fn management_connections(self) -> usize {
        (self.for_connections() / MANAGEMENT_SHARE).min(MOST_MANAGEMENT_CONNECTIONS)
    }

    fn for_connections(self) -> usize {
        (self.files - KEPT.min(self.files / 2)).min(MOST_CONNECTIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_files_half_are_for_connections_and_of_many_not_all() {
        for (files, connections, management_connections) in
            [(0, 0, 0), (256, 112, 16), (1024, 448, 64), (20_000, 19_360, 128), (usize::MAX, 49_872, 128)]
        {
            let limit = FileLimit { files };
            assert_eq!((limit.connections(), limit.management_connections()), (connections, management_connections), "{files}");
        }
    }
}
