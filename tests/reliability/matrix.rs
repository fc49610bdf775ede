//! Faults by what is in the cache: how many requests fail, how long the slowest takes, how many grants are sent.
//!
//! Each row has a simulator, and each of its cells a Portvakt of its own, so that nothing but the fault can be felt.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, LifetimeChange, Simulator};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, block_in_place};

use crate::fault_rows::{Cause, Fault, Grants, deadline, faults};
use crate::front::{Front, Identity, NAME, Way};
use crate::load::{Asked, Load, Sum, request, sum};
use crate::report;
use crate::support::*;
use crate::world::{Hosts, Standstill, attempts, configuration_at, is_full, start_by, start_simulator};

/// Of the tokens that will be due while the fault lasts, and how long it lasts.
const LIFETIME: Duration = Duration::from_secs(6);
/// While nothing waits for upstream, at least half of all answers take less.
const AT_ONCE: Duration = Duration::from_millis(250);

/// What is in the cache when the fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Valid,
    Due,
    Empty,
}

const STATES: [State; 3] = [State::Valid, State::Due, State::Empty];

impl State {
    /// Scopes of its own. Each refusal has one; any other fault strikes at one token that is held, or at four that are not.
    fn scopes(self, fault: &Fault) -> Vec<String> {
        let first = 50 * self as usize;
        let count = match (&fault.cause, self) {
            (Cause::Refusals(rules), _) => rules.len(),
            (_, Self::Valid | Self::Due) => 1,
            (_, Self::Empty) => 4,
        };
        (first..first + count).map(|number| format!("test:{number}")).collect()
    }
}

struct Cell {
    sum: Sum,
    grants: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_upstream_are_felt_by_nobody_who_has_a_token() {
    raise_file_limit();
    let hosts = Hosts::available().map(Arc::new);
    let identities = Arc::new((Identity::make(), Identity::make()));
    let side_by_side = Arc::new(Semaphore::new(if is_full() { 3 } else { 9 }));
    let (mut rows, mut faults) = (JoinSet::new(), faults());
    let names: Vec<&str> = faults.iter().map(|fault| fault.name).collect();
    if let Ok(only) = std::env::var("PORTVAKT_RELIABILITY_FAULT") {
        faults.retain(|fault| fault.name.contains(&only));
    }
    for fault in faults {
        let (hosts, identities, side_by_side) = (hosts.clone(), Arc::clone(&identities), Arc::clone(&side_by_side));
        rows.spawn(async move {
            let _turn = side_by_side.acquire().await.unwrap();
            (fault.name, Row::start(fault, hosts, &identities).run().await)
        });
    }
    let (mut rows, mut broken) = (rows, 0);
    let mut shown = Vec::new();
    while let Some(row) = rows.join_next().await {
        // A panic was told of where it happened: the other rows are worth seeing too.
        row.map_or_else(|_| broken += 1, |row| shown.push(row));
    }
    let mut rows = shown;
    rows.sort_by_key(|(name, _)| names.iter().position(|known| known == name));
    report::matrix(table(&rows, hosts.is_some()));
    assert_eq!(broken, 0, "rows of the matrix are not as they should be");
}

struct Row {
    fault: Fault,
    simulator: Simulator,
    front: Front,
    hosts: Option<Arc<Hosts>>,
    cells: Vec<(State, Portvakt)>,
    /// Read anew whenever it changes, so it stays.
    _ca: tempfile::NamedTempFile,
}

impl Row {
    fn start(fault: Fault, hosts: Option<Arc<Hosts>>, identities: &Arc<(Identity, Identity)>) -> Self {
        let simulator = block_in_place(start_simulator);
        let with_tls = matches!(fault.cause, Cause::Tls(_) | Cause::NameGone);
        let front = Front::start(simulator.address(), with_tls.then(|| Arc::clone(identities)));
        let host = match (&fault.cause, &hosts) {
            (Cause::NameGone, Some(_)) => format!("https://{NAME}:{}", front.address.port()),
            (Cause::NameGone, None) => "https://maskinporten.invalid".to_owned(),
            (Cause::Tls(_), _) => format!("https://{}", front.address),
            _ => format!("http://{}", front.address),
        };
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), &identities.0.certificate).unwrap();
        let mut configuration = configuration_at(simulator.issuer(), &format!("{host}/token"));
        configuration.sections = format!("[outbound]\nca_file = '{}'\n{}", ca.path().display(), fault.outbound);
        let configuration = configuration.text();
        // A name that no one can make cease to resolve here is one that never did, and then there is no token.
        let never_there = matches!(fault.cause, Cause::NameGone) && hosts.is_none();
        let states = if never_there { &STATES[2..] } else { &STATES };
        let start = |_: &State| match (&fault.cause, &hosts) {
            (Cause::NameGone, Some(hosts)) => start_by(hosts.within(Path::new(env!("CARGO_BIN_EXE_portvakt"))), &configuration),
            _ => start_by(portvakt_command(), &configuration),
        };
        let cells = block_in_place(|| states.iter().map(|state| (*state, start(state))).collect());
        Self { fault, simulator, front, hosts, cells, _ca: ca }
    }

    async fn run(self) -> Vec<(State, Cell)> {
        let standstill = Standstill::watch();
        for scope in State::Due.scopes(&self.fault) {
            let seconds = u32::try_from(LIFETIME.as_secs()).unwrap();
            self.simulator.change_lifetime(LifetimeChange { seconds, client_id: None, scope: Some(scope) }).unwrap();
        }
        let mut warm = Vec::new();
        for (state, portvakt) in &self.cells {
            warm.push((self.warm(*state, portvakt).await, attempts(portvakt).await));
        }
        self.set(true).await;
        let mut shown = Vec::new();
        let running = self.cells.iter().map(|(state, portvakt)| self.requests(*state, portvakt).run(self.asking(*state)));
        for (((state, portvakt), (begun, before)), sent) in self.cells.iter().zip(warm).zip(all(running).await) {
            // A renewal that was begun in time is counted when it ends.
            let (least, asked) = (u64::from(*state == State::Due), Instant::now());
            let grants = loop {
                let grants = attempts(portvakt).await - before;
                if grants >= least || asked.elapsed() > PATIENCE {
                    break grants;
                }
            };
            shown.push((*state, self.judge(*state, &begun, &sent, grants, standstill.longest())));
        }
        self.set(false).await;
        for (state, portvakt) in &self.cells {
            let scope = &state.scopes(&self.fault)[0];
            let ask = portvakt.ask().with("scope", scope).post();
            if self.hosts.is_some() || !matches!(self.fault.cause, Cause::NameGone) {
                let mended = Instant::now();
                while ask.clone().send().await.status != 200 {
                    assert!(mended.elapsed() < PATIENCE, "{}, {state:?}: no token, although all is well again", self.fault.name);
                }
            }
        }
        assert_eq!(self.simulator.counters().duplicate_jtis, 0, "{}", self.fault.name);
        shown
    }

    /// Tokens that were handed out from the cache once; and a moment before each one's exchange.
    async fn warm(&self, state: State, portvakt: &Portvakt) -> Vec<Instant> {
        let scopes = if state == State::Empty { vec!["test:199".to_owned()] } else { state.scopes(&self.fault) };
        if self.hosts.is_none() && matches!(self.fault.cause, Cause::NameGone) {
            return Vec::new();
        }
        let requests = scopes.len() as u64;
        let load = Load::unpaced(portvakt.tokens, requests, 4);
        let first = load.clone().run(round_robin(scopes.clone())).await;
        let second = load.run(round_robin(scopes)).await;
        assert!(first.iter().chain(&second).all(Asked::is_granted), "{}: {first:?}", self.fault.name);
        first.iter().map(|sent| sent.sent).collect()
    }

    fn requests(&self, state: State, portvakt: &Portvakt) -> Load {
        #[allow(clippy::cast_precision_loss)]
        let tokens = state.scopes(&self.fault).len() as f64;
        let rate = if state == State::Empty { 8.0_f64.max(tokens * 0.7) } else { 20.0_f64.max(tokens) };
        Load::paced(portvakt.tokens, rate, LIFETIME, 80)
    }

    fn asking(&self, state: State) -> impl Fn(u64) -> Vec<u8> + Send + Sync + 'static {
        round_robin(state.scopes(&self.fault))
    }

    fn judge(&self, state: State, begun: &[Instant], sent: &[Asked], grants: u64, standstill: Duration) -> Cell {
        let Fault { name, told, .. } = &self.fault;
        let place = format!("{name}, {state:?}");
        if state == State::Empty {
            let statuses: BTreeSet<u16> = sent.iter().filter_map(|sent| sent.status).collect();
            let sum = sum(sent);
            assert!(sent.iter().all(|sent| sent.status.is_some()), "{place}: no answer at all");
            assert!(statuses.iter().all(|status| told.contains(status)), "{place}: {statuses:?}");
            let longest = deadline(&self.fault) + Duration::from_secs(1) + 4 * standstill;
            assert!(sum.slowest < longest, "{place}: {sum:?}, past the deadline");
            let most = match self.fault.grants {
                Grants::Three => 3 * sent.len() as u64,
                Grants::PerToken(most) => most * state.scopes(&self.fault).len() as u64,
            };
            assert!(grants <= most, "{place}: {grants} grants for {} requests, and {most} are the most", sent.len());
            return Cell { sum, grants };
        }
        // What was answered when its token had certainly not ended.
        let valid = |sent: &&Asked| {
            state == State::Valid || {
                let place = usize::try_from(sent.number).unwrap() % begun.len();
                sent.answered < begun[place] + LIFETIME
            }
        };
        let sum = sum(sent.iter().filter(valid));
        assert!(sum.requests > sent.len() / 2, "{place}: {sum:?}");
        assert_eq!(sum.failed, 0, "{place}: {sum:?}: {:?}", sent.iter().filter(valid).find(|sent| !sent.is_granted()));
        assert!(sum.median < AT_ONCE, "{place}: {sum:?}");
        match state {
            State::Valid => assert_eq!(grants, 0, "{place}"),
            _ => assert!(grants >= 1, "{place}: nothing was renewed"),
        }
        if let Grants::PerToken(most) = self.fault.grants {
            assert!(grants <= 3 * most * begun.len() as u64, "{place}: {grants} grants, although Maskinporten refuses them");
        }
        Cell { sum, grants }
    }

    /// The fault begins, or ends.
    async fn set(&self, begins: bool) {
        match &self.fault.cause {
            Cause::NameGone => {
                if let Some(hosts) = &self.hosts {
                    hosts.name_is_known(!begins);
                }
                // What is connected needs no name.
                self.front.set(Way::Refused).await;
                self.front.set(Way::Open).await;
            }
            Cause::Network(way) | Cause::Tls(way) => self.front.set(if begins { *way } else { Way::Open }).await,
            _ if !begins => self.simulator.clear_faults(),
            Cause::Maskinporten(kind) => self.simulator.fault(kind.clone()).unwrap(),
            Cause::Once(kind) => {
                let scopes = STATES.iter().flat_map(|state| state.scopes(&self.fault));
                self.simulator.faults(scopes.map(|scope| for_scope(kind.clone(), &scope, Some(1))).collect()).unwrap();
            }
            Cause::Refusals(rules) => {
                let refuse = |(rule, scope): (&&str, String)| for_scope(FaultKind::Error { code: (*rule).to_owned() }, &scope, None);
                let of_state = |state: &State| rules.iter().zip(state.scopes(&self.fault)).map(refuse).collect::<Vec<_>>();
                self.simulator.faults(STATES.iter().flat_map(of_state).collect()).unwrap();
            }
        }
    }
}

fn round_robin(scopes: Vec<String>) -> impl Fn(u64) -> Vec<u8> + Send + Sync + 'static {
    move |number| request(FREG, &scopes[usize::try_from(number).unwrap() % scopes.len()])
}

/// All of them, side by side.
async fn all(running: impl Iterator<Item = impl Future<Output = Vec<Asked>> + Send + 'static>) -> Vec<Vec<Asked>> {
    let running: Vec<_> = running.map(tokio::spawn).collect();
    let mut all = Vec::new();
    for one in running {
        all.push(one.await.unwrap());
    }
    all
}

fn table(rows: &[(&str, Vec<(State, Cell)>)], names_can_go: bool) -> String {
    let mut text = String::from("| fault, for 6 s | token valid | token due for renewal | no token |\n|---|---|---|---|\n");
    for (name, cells) in rows {
        let cell = |wanted: State| {
            let found = cells.iter().find(|(state, _)| *state == wanted);
            found.map_or_else(
                || "not shown here".to_owned(),
                |(_, Cell { sum: Sum { requests, failed, slowest, .. }, grants })| {
                    format!("{failed} of {requests}, {}, {grants}", report::time(*slowest))
                },
            )
        };
        writeln!(text, "| {name} | {} | {} | {} |", cell(State::Valid), cell(State::Due), cell(State::Empty)).unwrap();
    }
    if !names_can_go {
        text.push_str("\nThis machine cannot make a name cease to resolve for one process: that row's name never did.\n");
    }
    text
}
