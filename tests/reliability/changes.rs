//! Two instances under load: twenty reloads of each, a key swapped, a caller revoked, one of the two ended by SIGTERM.
//!
//! Half of the clients ask one instance and half the other, and each goes to the other one when a connection is refused. A request has
//! failed when its answer is not the one that it should have, when its connection ends in the middle of an answer, and when nobody takes
//! it. One whose kept connection is closed just as it is sent, before a byte of the answer, is sent once more, as every HTTP client does
//! with a GET: those are counted beside the others.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portvakt::simulator::LifetimeChange;
use rustix::process::Signal;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::sleep_until;

use crate::load::{Asked, Load, request_by, sum};
use crate::report::{self, Show, count, time};
use crate::support::*;
use crate::world::{configuration_at, is_full, start_in, start_simulator};

const RELOADS: u32 = 20;
const KEY_SWAPPED: u32 = 5;
const REVOKED: u32 = 10;
const ENDED: u32 = 15;
const TOKENS: u64 = 20;
const RELOADED: &str = r#""message":"reloaded"#;

/// What stands in both instances' files.
struct File {
    text: String,
    reloads: u32,
}

impl File {
    fn swap_key(&mut self) {
        let (old, new) = (certs("registered-2048.pem"), certs("registered-4096.pem"));
        let kid = std::fs::read_to_string(certs("registered-4096.kid")).unwrap();
        self.replace(&old.display().to_string(), &new.display().to_string());
        self.replace("portvakt-test-2048", kid.trim());
    }

    fn revoke_the_other_caller(&mut self) {
        self.replace(&sha256(OTHER_API_KEY), &sha256("a key that nobody has"));
    }

    fn replace(&mut self, old: &str, new: &str) {
        assert!(self.text.contains(old), "{old} is not in the file");
        self.text = self.text.replace(old, new);
    }

    /// Each time something else, in place of the old file in one step.
    fn write(&self, directory: &Path) {
        let text = format!(
            "{}\n# reload {}\n",
            self.text.replace("max_tokens = 1000", &format!("max_tokens = {}", 1000 + self.reloads)),
            self.reloads
        );
        std::fs::write(directory.join("portvakt.toml.new"), text).unwrap();
        std::fs::rename(directory.join("portvakt.toml.new"), directory.join("portvakt.toml")).unwrap();
    }

    fn start(&self) -> Portvakt {
        let directory = tempfile::tempdir().unwrap();
        self.write(directory.path());
        start_in(directory)
    }
}

/// Has both read what is in the file now.
fn reload(instances: &[&Portvakt], file: &mut File) {
    file.reloads += 1;
    for instance in instances {
        file.write(instance.directory.path());
    }
    // One that was under way may have read the old file: the second one after it has not.
    for _ in 0..2 {
        let reloaded = |instance: &Portvakt| instance.log().iter().filter(|line| line.contains(RELOADED)).count();
        let before: Vec<_> = instances.iter().map(|instance| reloaded(instance)).collect();
        for instance in instances {
            instance.signal(Signal::HUP);
        }
        let asked_for = Instant::now();
        for (instance, before) in instances.iter().zip(before) {
            while reloaded(instance) == before {
                assert!(asked_for.elapsed() < PATIENCE, "it does not reload; the log is:\n{}", instance.log().join("\n"));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn load(servers: [&Portvakt; 2], rate: f64, ended: &Arc<AtomicBool>, by: &'static str) -> JoinHandle<Vec<Asked>> {
    let servers = servers.map(|server| server.tokens).to_vec();
    let load = Load { servers, rate: Some(rate), requests: u64::MAX, connections: 32, ended: Arc::clone(ended) };
    tokio::spawn(load.run(move |number| {
        let scope = if by == API_KEY { &*format!("test:{}", number % TOKENS) } else { KRR_SCOPE };
        request_by(by, if by == API_KEY { FREG } else { KRR }, scope)
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_a_swapped_key_a_revoked_caller_and_an_end_fail_no_request() {
    let (rate, between) = if is_full() { (1000.0, Duration::from_secs(2)) } else { (200.0, Duration::from_millis(400)) };
    let (simulator, file) = block_in_place(|| {
        let simulator = start_simulator();
        simulator.change_lifetime(LifetimeChange { seconds: 6, client_id: None, scope: None }).unwrap();
        let mut configuration = configuration_at(simulator.issuer(), &simulator.token_endpoint());
        configuration.sections = "[cache]\nmax_tokens = 1000".to_owned();
        let text = configuration.text().replacen("[management]", "shutdown_delay = \"1s\"\n\n[management]", 1);
        (simulator, File { text, reloads: 0 })
    });
    let mut file = file;
    let (mut one, other) = block_in_place(|| (file.start(), file.start()));
    let ended = Arc::new(AtomicBool::new(false));
    let kept = [[&one, &other], [&other, &one]].map(|servers| load(servers, rate * 0.45, &ended, API_KEY));
    let revoked = [[&one, &other], [&other, &one]].map(|servers| load(servers, rate * 0.05, &ended, OTHER_API_KEY));

    let begun = Instant::now();
    let (mut revoked_between, mut end) = (None, None);
    for step in 1..=RELOADS {
        sleep_until((begun + step * between).into()).await;
        let before = Instant::now();
        match step {
            KEY_SWAPPED => file.swap_key(),
            REVOKED => file.revoke_the_other_caller(),
            ENDED => {
                one.signal(Signal::TERM);
                end = Some(Instant::now());
            }
            _ => {}
        }
        block_in_place(|| if end.is_none() { reload(&[&one, &other], &mut file) } else { reload(&[&other], &mut file) });
        if step == REVOKED {
            revoked_between = Some((before, Instant::now()));
        }
    }
    let status = block_in_place(|| one.wait_for_end());
    assert_eq!(status.code(), Some(0), "{:?} after SIGTERM: {:?}", end.map(|end| end.elapsed()), one.log().last());
    // Some more, to the one that is left.
    sleep_until((Instant::now() + between).into()).await;
    ended.store(true, Relaxed);

    let (kept, revoked) = (joined(kept).await, joined(revoked).await);
    let (from, to) = revoked_between.unwrap();
    let expected = |asked: &Asked| match asked.status {
        Some(200) => asked.sent < to,
        Some(401) => asked.answered > from,
        _ => false,
    };
    let failed: Vec<&Asked> =
        kept.iter().filter(|asked| !asked.is_granted()).chain(revoked.iter().filter(|asked| !expected(asked))).collect();
    let since = |moment: Instant| moment.saturating_duration_since(begun);
    let first = failed.first().map(|asked| (since(asked.sent), since(asked.answered), asked));
    assert!(
        failed.is_empty(),
        "{} of {}; SIGTERM after {:?}; the first: {first:?}",
        failed.len(),
        kept.len() + revoked.len(),
        end.map(since)
    );
    assert!(revoked.iter().any(|asked| asked.status == Some(401)) && revoked.iter().any(Asked::is_granted));
    let twice = kept.iter().chain(&revoked).filter(|asked| asked.twice).count();

    let counters = simulator.counters();
    assert_eq!((counters.duplicate_jtis, counters.refused), (0, 0), "{counters:?}");
    let kids =
        counters.last_grants.iter().rev().filter(|grant| grant.claims["iss"] == FREG).filter_map(|grant| grant.header["kid"].as_str());
    assert!(kids.take(5).all(|kid| kid != "portvakt-test-2048"), "the old key still signs");
    report::row(
        Show::Changes,
        &format!("SIGTERM to one of two instances, {RELOADS} reloads, a key swapped, a caller revoked, at {rate}/s"),
        &format!(
            "0 of {} requests failed that should not, 0 of {} were answered that should not; p99 {}; {twice} were sent just as their kept connection was closed, and so once more",
            count((kept.len() + revoked.iter().filter(|asked| asked.is_granted()).count()) as u64),
            count(revoked.iter().filter(|asked| asked.sent > to).count() as u64),
            time(sum(&kept).p99),
        ),
    );
}

async fn joined(loads: [JoinHandle<Vec<Asked>>; 2]) -> Vec<Asked> {
    let mut all = Vec::new();
    for load in loads {
        all.extend(load.await.unwrap());
    }
    all
}
