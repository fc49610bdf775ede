//! A machine that slept: its monotonic clock stood still meanwhile, and tokens ended all the same.
//!
//! No test can put a machine to sleep. libfaketime makes the clock that tells the time go ahead of the monotonic one, which is what a
//! process sees of a sleep. Without that library (Debian's package `libfaketime`) there is nothing to be seen here; `.ci/run` installs it.

use std::path::{Path, PathBuf};

use portvakt::simulator::{LifetimeChange, Simulator};

use crate::support::*;

const SCOPE: &str = "test:1";
const PREFETCHED: &str = "test:2";

/// Where Debian's package puts it.
fn library() -> Option<PathBuf> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|triple| format!("/usr/lib/{triple}/faketime/libfaketimeMT.so.1"));
    places.into_iter().map(PathBuf::from).find(|library| library.exists())
}

/// A service whose clock can go ahead.
struct Sleeper {
    simulator: Simulator,
    portvakt: Portvakt,
    offset: PathBuf,
}

impl Sleeper {
    fn start(library: &Path) -> Self {
        let simulator = simulator();
        simulator.change_lifetime(LifetimeChange { seconds: 300, client_id: None, scope: None }).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let offset = directory.path().join("offset");
        std::fs::write(&offset, "+0").unwrap();
        let configuration = Configuration { freg: format!("prefetch = [\"{PREFETCHED}\"]"), ..configuration(&simulator) };
        std::fs::write(directory.path().join("portvakt.toml"), configuration.text()).unwrap();
        let mut command = portvakt_command();
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &offset);
        command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Self { portvakt: Portvakt::start_by(command, directory), simulator, offset }
    }

    /// So many seconds, of which nothing is seen but their end. Returns once it is noticed.
    fn sleep(&self, before: u32, seconds: u32) -> String {
        let new = self.offset.with_extension("new");
        std::fs::write(&new, format!("+{}", before + seconds)).unwrap();
        std::fs::rename(new, &self.offset).unwrap();
        let slept = [seconds - 1, seconds, seconds + 1].map(|seconds| format!("\"seconds\":{seconds},"));
        self.portvakt.wait_for_log(|line| line.contains("tokens were looked at again") && slept.iter().any(|slept| line.contains(slept)))
    }
}

#[tokio::test]
async fn what_ended_while_the_machine_slept_is_not_handed_out_and_what_came_due_is_renewed() {
    let Some(library) = library() else {
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let sleeper = Sleeper::start(&library);
    let ask = sleeper.portvakt.ask().with("scope", SCOPE);
    let first = ask.clone().send().await;
    assert_eq!(ask.clone().send().await.token(), first.token(), "in use, so it will be renewed");
    until("the prefetched token", || exchanges(&sleeper.simulator, PREFETCHED) == 1).await;

    // Of 300 seconds: not due yet, and shorter by what was slept.
    let line = sleeper.sleep(0, 140);
    assert!(line.contains("\"ended\":0"), "{line}");
    let later = ask.clone().send().await;
    assert_eq!(later.token(), first.token());
    let left = later.json["expires_in"].as_u64().unwrap();
    assert!((60..=160).contains(&left), "{left}");
    assert_eq!((exchanges(&sleeper.simulator, SCOPE), exchanges(&sleeper.simulator, PREFETCHED)), (1, 1));

    // Due by this, in the timer and in the task that keeps a token warm.
    let line = sleeper.sleep(140, 118);
    assert!(line.contains("\"ended\":0"), "{line}");
    until("the renewals", || exchanges(&sleeper.simulator, SCOPE) >= 2 && exchanges(&sleeper.simulator, PREFETCHED) >= 2).await;
    let renewed = until_some("the renewed token", async || Some(ask.clone().send().await).filter(|answer| answer.token() != first.token()));
    assert!(renewed.await.json["expires_in"].as_u64().unwrap() > 100);

    // Over by this. (The simulator's clock did not go ahead, but up to ten minutes a grant's time is put right.)
    let second = ask.clone().send().await;
    let line = sleeper.sleep(258, 320);
    assert!(line.contains("\"ended\":2"), "{line}");
    let third = until_some("a token in spite of that clock", async || Some(ask.clone().send().await).filter(|answer| answer.status == 200));
    assert_ne!(third.await.token(), second.token());
}
