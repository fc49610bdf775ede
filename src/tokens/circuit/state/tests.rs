use super::*;
use crate::maskinporten::{NotOAuth, Unavailable};
use proptest::prelude::*;

const A: IntegrationId = IntegrationId(0);
const B: IntegrationId = IntegrationId(1);

fn outage() -> ExchangeError {
    asking_for_patience(None)
}

fn asking_for_patience(retry_after: Option<Duration>) -> ExchangeError {
    ExchangeError::Unavailable(Unavailable { status: 503, said: None, retry_after })
}

/// A state, and a clock that goes when it is told to.
struct Scene {
    state: State<&'static str>,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { state: State::new(), now: Instant::now() }
    }

    fn after(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self
    }

    fn fails(&mut self, integration: IntegrationId) -> &mut Self {
        let began = self.now;
        self.state.began(integration, began);
        self.after(1);
        self.state.failed(integration, began, &outage(), self.now);
        self
    }

    fn succeeds(&mut self, integration: IntegrationId) -> Option<Closed> {
        self.state.began(integration, self.now);
        self.after(1);
        self.state.succeeded(self.now)
    }

    fn opens(&mut self) -> bool {
        self.state.open_when_due(self.now).is_some()
    }

    fn holds_back(&mut self, integration: IntegrationId) -> bool {
        self.state.holds_back(integration, self.now).is_some()
    }

    /// One integration fails until it is open.
    fn open(integrations: &[IntegrationId]) -> Self {
        let mut scene = Self::new();
        for _ in 0..5 {
            for integration in integrations {
                scene.fails(*integration);
            }
        }
        assert!(scene.after(5000).opens());
        scene
    }
}

#[test]
fn it_opens_after_five_failures_and_five_seconds() {
    let mut scene = Scene::new();
    for _ in 0..4 {
        assert!(!scene.fails(A).opens());
    }
    assert!(!scene.after(60_000).opens(), "four are too few");
    let mut scene = Scene::new();
    for _ in 0..40 {
        assert!(!scene.fails(A).after(100).opens(), "it has not been long enough");
    }
    assert!(!scene.holds_back(A));
    assert!(scene.after(1000).opens());
    assert!(scene.holds_back(A));
    assert!(!scene.opens(), "once");
}

#[test]
fn a_success_of_anybody_begins_anew_and_closes() {
    let mut scene = Scene::new();
    for _ in 0..4 {
        scene.fails(A);
    }
    assert!(scene.succeeds(B).is_none(), "it was not open");
    assert!(!scene.fails(A).after(60_000).opens(), "one since the last success");
    let mut scene = Scene::open(&[A]);
    let closed = scene.after(250).succeeds(B).unwrap();
    assert_eq!((closed.failures, closed.lasted.as_secs()), (5, 5));
    assert!(!scene.holds_back(A) && !scene.opens());
    assert!(scene.succeeds(A).is_none());
}

#[test]
fn trouble_of_one_integration_alone_does_not_open_it() {
    let mut scene = Scene::new();
    scene.succeeds(B);
    for _ in 0..12 {
        assert!(!scene.fails(A).after(1000).opens(), "the other one is in use, and has not failed");
    }
    assert!(scene.fails(B).opens(), "now both have failed");
    assert!(scene.holds_back(A) && scene.holds_back(B));
    let mut scene = Scene::new();
    scene.succeeds(B);
    scene.after(10_000);
    for _ in 0..5 {
        scene.fails(A);
    }
    assert!(scene.after(5_000).opens(), "the other one has asked for nothing for 15 s");
    assert!(scene.holds_back(A) && !scene.holds_back(B), "and is not held back when it does");
}

#[test]
fn an_exchange_that_hung_through_the_end_of_an_outage_does_not_count() {
    let mut scene = Scene::open(&[A]);
    let before = scene.now;
    scene.after(1000).succeeds(A);
    for _ in 0..5 {
        scene.after(10);
        scene.state.failed(A, before, &outage(), scene.now);
    }
    assert!(!scene.after(60_000).opens());
}

#[test]
fn what_failed_long_ago_holds_nobody_back() {
    let mut scene = Scene::open(&[A]);
    assert!(scene.after(4_900).holds_back(A));
    assert!(!scene.after(200).holds_back(A), "ten seconds after the last failure");
    assert!(scene.holds_back(A), "the others wait for what comes of that one");
    assert!(scene.fails(A).holds_back(A), "it has failed again");
    let (_renewal, _) = scene.state.trials.hold(A, None, "hangs");
    let now = scene.after(9_000).now;
    assert_eq!(scene.state.take_trial(now), Some("hangs"));
    assert!(scene.after(9_000).holds_back(A), "a trial was begun meanwhile");
    assert!(!scene.after(1_000).holds_back(A));
}

#[test]
fn failures_before_a_long_pause_do_not_count() {
    let mut scene = Scene::new();
    for _ in 0..4 {
        scene.fails(A);
    }
    for _ in 0..4 {
        assert!(!scene.after(60_000).fails(A).opens());
    }
    let mut scene = Scene::open(&[A]);
    assert!(scene.after(60_000).fails(A).holds_back(A), "what is open is closed by a success only");
}

#[test]
fn what_does_not_pass_by_itself_is_told_but_not_counted() {
    let mut scene = Scene::new();
    let found = crate::maskinporten::Found::Html { title: None };
    let other = ExchangeError::NotOAuth(NotOAuth { status: 200, found, retry_after: None });
    scene.state.failed_otherwise(&other);
    assert!(scene.state.trouble.is_none());
    let mut scene = Scene::open(&[A]);
    scene.state.failed_otherwise(&other);
    let (_, error, _) = scene.state.holds_back(A, scene.now).unwrap();
    assert_eq!(*error, other);
}

#[test]
fn whom_maskinporten_asked_for_patience_is_told_so_and_is_not_tried() {
    let mut scene = Scene::open(&[A, B]);
    scene.state.failed(A, scene.now, &asking_for_patience(Some(Duration::from_secs(9))), scene.now);
    let wait = |scene: &mut Scene, integration| scene.state.holds_back(integration, scene.now).unwrap().2;
    assert_eq!(wait(&mut scene, A), Duration::from_secs(9));
    assert_eq!(wait(&mut scene, B), Duration::from_secs(1));
    let (_resumed, _) = scene.state.trials.hold(A, None, "a");
    let now = scene.after(8900).now;
    assert_eq!(scene.state.take_trial(now), None);
    assert_eq!(wait(&mut scene, A), Duration::from_secs(1));
    let now = scene.after(100).now;
    assert_eq!(scene.state.take_trial(now), Some("a"));
}

#[test]
fn reloads_do_not_make_it_grow() {
    let mut scene = Scene::new();
    for number in 0..10_000 {
        let now = scene.after(1000).now;
        scene.state.began(IntegrationId(number), now);
        assert!(scene.state.members.len() <= ROOM);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Fails(u32),
    Succeeds(u32),
    Passes(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![6 => (0..3u32).prop_map(Step::Fails), 1 => (0..3u32).prop_map(Step::Succeeds), 4 => (1..4000u64).prop_map(Step::Passes), 1 => (9_000..70_000u64).prop_map(Step::Passes)]
}

proptest! {
    /// Against the rules, said again in the plainest way: with all that has happened since the last success at hand.
    #[test]
    fn it_is_open_when_the_rules_say_so(steps in prop::collection::vec(step(), 0..80)) {
        let mut scene = Scene::new();
        let mut failures: Vec<(u32, Instant)> = Vec::new();
        let mut asked: HashMap<u32, Instant> = HashMap::new();
        let (mut is_open, mut let_through) = (false, None::<Instant>);
        for step in steps {
            match step {
                Step::Fails(number) => {
                    asked.insert(number, scene.now);
                    scene.fails(IntegrationId(number));
                    if !is_open && failures.last().is_some_and(|(_, at)| scene.now - *at >= FORGOTTEN_AFTER) {
                        failures.clear();
                    }
                    failures.push((number, scene.now));
                }
                Step::Succeeds(number) => {
                    asked.insert(number, scene.now);
                    let closed = scene.succeeds(IntegrationId(number));
                    prop_assert_eq!(closed.is_some(), is_open);
                    failures.clear();
                    is_open = false;
                }
                Step::Passes(milliseconds) => {
                    scene.after(milliseconds);
                }
            }
            let now = scene.now;
            scene.opens();
            let has_failed = |number: &u32| failures.iter().any(|(failed, _)| failed == number);
            let opens = !is_open
                && failures.len() >= 5
                && now - failures[0].1 >= FAILING_FOR
                && asked.iter().all(|(number, &asked)| has_failed(number) || now - asked >= IN_USE);
            if opens {
                (is_open, let_through) = (true, None);
            }
            for number in 0..3 {
                let last = failures.last().map(|(_, at)| *at).max(let_through);
                let (is_held, is_recent) = (is_open && has_failed(&number), last.is_some_and(|at| now - at < SAYS_NOTHING_AFTER));
                prop_assert_eq!(scene.holds_back(IntegrationId(number)), is_held && is_recent);
                if is_held && !is_recent {
                    let_through = Some(now); // and whoever comes next is held back by that one
                }
            }
        }
    }
}
