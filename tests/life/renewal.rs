//! Renewal ahead of need. What happens takes seconds, so what can go on side by side does, each with a scope of its own.

use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, LifetimeChange, Simulator, Stage};

use crate::support::*;

/// Of every token here. Long enough for the moments of its life to be told apart on a busy machine.
const LIFETIME: Duration = Duration::from_secs(5);

fn simulator_with_short_lives() -> Simulator {
    let simulator = simulator();
    let seconds = u32::try_from(LIFETIME.as_secs()).unwrap();
    simulator.change_lifetime(LifetimeChange { seconds, client_id: None, scope: None }).unwrap();
    simulator
}

/// Faults for one scope beside those of the others.
fn add_fault(simulator: &Simulator, faults: &std::sync::Mutex<Vec<portvakt::simulator::Fault>>, kind: FaultKind, scope: &str) {
    let mut faults = faults.lock().unwrap();
    faults.push(for_scope(kind, scope, None));
    simulator.faults(faults.clone()).unwrap();
}

struct World {
    simulator: Simulator,
    portvakt: Portvakt,
    faults: std::sync::Mutex<Vec<portvakt::simulator::Fault>>,
}

impl World {
    fn ask(&self, scope: &str) -> Ask {
        self.portvakt.ask().with("scope", scope)
    }

    fn fault(&self, kind: FaultKind, scope: &str) {
        add_fault(&self.simulator, &self.faults, kind, scope);
    }

    fn mend(&self, scope: &str) {
        let mut faults = self.faults.lock().unwrap();
        faults.retain(|fault| fault.conditions.scope.as_deref() != Some(scope));
        self.simulator.faults(faults.clone()).unwrap();
    }

    fn exchanges(&self, scope: &str) -> u64 {
        exchanges(&self.simulator, scope)
    }

    /// A token that was handed out from the cache once, and a moment before its exchange.
    async fn warm(&self, ask: &Ask) -> (Instant, String) {
        let before = Instant::now();
        let token = ask.clone().send().await.token().to_owned();
        assert_eq!(ask.clone().send().await.token(), token);
        (before, token)
    }
}

#[tokio::test]
async fn tokens_are_renewed_ahead_of_need() {
    let simulator = simulator_with_short_lives();
    let prefetch = Configuration {
        freg: r#"prefetch = ["test:1", { scope = "test:2", consumer_org = "889640782" }]"#.to_owned(),
        ..configuration(&simulator)
    };
    let portvakt = Portvakt::start(&prefetch);
    let world = World { simulator, portvakt, faults: Vec::new().into() };
    tokio::join!(
        a_prefetched_token_is_kept_warm_though_nobody_asks(&world, "test:1"),
        a_prefetched_token_is_kept_warm_though_nobody_asks(&world, "test:2"),
        a_token_that_was_asked_for_again_is_renewed_and_one_that_was_not_is_not(&world),
        nobody_waits_for_a_renewal(&world),
        a_hit_after_the_moment_renews_in_the_background(&world),
        a_token_is_served_through_failing_renewals_until_it_ends(&world, "test:20", FaultKind::Html { status: 502 }),
        a_token_is_served_through_failing_renewals_until_it_ends(&world, "test:21", FaultKind::Error { code: "MP-200".to_owned() }),
        a_token_is_served_through_failing_renewals_until_it_ends(&world, "test:22", FaultKind::Hang { at: Stage::BeforeHeaders }),
        a_renewal_that_failed_is_tried_again(&world),
        a_persons_token_is_not_renewed_and_a_system_users_is(&world),
    );
    assert_eq!(world.simulator.counters().duplicate_jtis, 0);
}

async fn a_prefetched_token_is_kept_warm_though_nobody_asks(world: &World, scope: &str) {
    until("two renewals of a prefetched token", || world.exchanges(scope) >= 3).await;
}

/// One that is asked for twice in each life lives on; when it has lived two more lives the other one has ended.
async fn a_token_that_was_asked_for_again_is_renewed_and_one_that_was_not_is_not(world: &World) {
    let (asked_again, not_asked_again) = ("test:3", "test:4");
    world.warm(&world.ask(asked_again)).await;
    world.ask(not_asked_again).send().await.token();
    until("the first renewal", || world.exchanges(asked_again) == 2).await;
    until_some("the new token", async || {
        world.ask(asked_again).send().await.token();
        (world.exchanges(asked_again) == 3).then_some(())
    })
    .await;
    assert_eq!(world.exchanges(not_asked_again), 1);
}

/// The renewal takes a second: whoever asks meanwhile has the old token before it has ended.
async fn nobody_waits_for_a_renewal(world: &World) {
    for scope in ["test:5", "test:6", "test:7"] {
        let ask = world.ask(scope);
        let (before, old) = world.warm(&ask).await;
        world.fault(FaultKind::Delay { milliseconds: 1000 }, scope);
        until("the renewal", || world.exchanges(scope) == 2).await;
        let (renewal_began, mut at_once) = (Instant::now(), 0);
        let new = until_some("the new token", async || {
            let sent = Instant::now();
            let answer = ask.clone().send().await;
            // It was there when this was answered, and good for long enough.
            if sent.max(renewal_began) < before + LIFETIME * 9 / 10 && answer.token() == old {
                assert!(Instant::now() < before + LIFETIME, "handed out after its end");
                at_once += u32::from(renewal_began.elapsed() < Duration::from_millis(900));
            }
            (answer.token() != old).then(|| answer.token().to_owned())
        })
        .await;
        assert_eq!(ask.send().await.token(), new);
        assert_eq!(world.exchanges(scope), 2, "one renewal brought the new token");
        world.mend(scope);
        if at_once > 0 {
            return;
        }
    }
    panic!("nobody was answered while a renewal was under way");
}

/// A first hit after 85 % of the life, and before the last tenth.
async fn a_hit_after_the_moment_renews_in_the_background(world: &World) {
    for scope in ["test:8", "test:9", "test:10"] {
        let ask = world.ask(scope);
        let before = Instant::now();
        let old = ask.clone().send().await.token().to_owned();
        let latest_moment = Instant::now() + LIFETIME.mul_f64(0.855);
        // Nothing happens that could be waited for: a question in between would be a hit before the moment.
        tokio::time::sleep_until(latest_moment.into()).await;
        assert_eq!(world.exchanges(scope), 1, "nobody asked for it again");
        world.fault(FaultKind::Delay { milliseconds: 200 }, scope);
        let answer = ask.send().await;
        let in_time = Instant::now() < before + LIFETIME * 9 / 10;
        until("the renewal", || world.exchanges(scope) == 2).await;
        world.mend(scope);
        if in_time {
            assert_eq!(answer.token(), old);
            return;
        }
    }
    panic!("the machine stood still each time");
}

async fn a_token_is_served_through_failing_renewals_until_it_ends(world: &World, scope: &str, fault: FaultKind) {
    let ask = world.ask(scope);
    let (before, old) = world.warm(&ask).await;
    let warm = Instant::now();
    world.fault(fault, scope);
    let refused = until_some("the end of the token", async || {
        let sent = Instant::now();
        let answer = ask.clone().send().await;
        if answer.status == 200 {
            assert_eq!(answer.token(), old);
            assert!(sent < warm + LIFETIME, "handed out after its end");
            return None;
        }
        // What was answered when it had certainly not ended yet must have been the token.
        assert!(Instant::now() > before + LIFETIME, "refused while there was a valid token: {}", answer.text);
        Some(answer)
    })
    .await;
    assert!(matches!(refused.status, 502..=504), "{}", refused.text);
    assert!(world.exchanges(scope) >= 2);
    world.mend(scope);
    // A refusal is remembered, and POST asks all the same.
    let again = if refused.status == 502 { ask.post() } else { ask };
    // What hangs goes on to its end, and those who wait for it have its failure.
    let new = until_some("a token again", async || Some(again.clone().send().await).filter(|answer| answer.status == 200));
    assert_ne!(new.await.token(), old);
}

/// Two attempts fail, the third brings the new token; nobody asks meanwhile.
async fn a_renewal_that_failed_is_tried_again(world: &World) {
    for scope in ["test:14", "test:15", "test:16"] {
        world.simulator.change_lifetime(LifetimeChange { seconds: 12, client_id: None, scope: Some(scope.to_owned()) }).unwrap();
        let ask = world.ask(scope);
        let (_, old) = world.warm(&ask).await;
        let latest_end = Instant::now() + Duration::from_secs(12);
        world.fault(FaultKind::Empty { status: 503 }, scope);
        until("two attempts", || world.exchanges(scope) >= 3).await;
        world.mend(scope);
        let failed = world.exchanges(scope);
        until("a renewal, or the token's end", || world.exchanges(scope) > failed || Instant::now() > latest_end).await;
        // On a machine that stood still there was no time for it: then it is tried with another token.
        if world.exchanges(scope) > failed {
            until_some("the new token", async || (ask.clone().send().await.token() != old).then_some(())).await;
            assert_eq!(world.exchanges(scope), failed + 1, "it came without anybody asking for it");
            return;
        }
    }
    panic!("the machine stood still each time");
}

async fn a_persons_token_is_not_renewed_and_a_system_users_is(world: &World) {
    let consent = r#"[{"type":"urn:altinn:consent","id":"77ed8698-5ebb-4f7e-b5a7-3b4d6d2a1c0e","from":"urn:altinn:person:identifier-no:23079422568"}]"#;
    let system_user = r#"[{"type":"urn:altinn:systemuser","systemuser_org":{"authority":"iso6523-actorid-upis","ID":"0192:999888777"}}]"#;
    world.warm(&world.ask("test:11").with("pid", "23079422568")).await;
    world.warm(&world.ask("test:12").with("authorization_details", consent)).await;
    let system_user = world.ask("test:13").with("authorization_details", system_user);
    world.warm(&system_user).await;
    until("the first renewal", || world.exchanges("test:13") == 2).await;
    until_some("the second renewal", async || {
        system_user.clone().send().await.token();
        (world.exchanges("test:13") == 3).then_some(())
    })
    .await;
    // Their lives are over by now.
    assert_eq!((world.exchanges("test:11"), world.exchanges("test:12")), (1, 1));
}

#[tokio::test]
async fn prefetching_goes_on_behind_a_start_while_maskinporten_is_down() {
    let simulator = simulator();
    simulator.fault(FaultKind::Reset { at: Stage::BeforeHeaders }).unwrap();
    let prefetch = Configuration { freg: format!(r#"prefetch = ["{FREG_SCOPE}"]"#), ..configuration(&simulator) };
    let portvakt = Portvakt::start(&prefetch);
    simulator.wait_for_exchanges(3, PATIENCE).await.unwrap();
    let ready = client().get(format!("http://{}/health/ready", portvakt.management)).send().await.unwrap();
    assert_eq!(ready.status(), 200, "ready does not depend on Maskinporten");
    assert_eq!(portvakt.ask().send().await.status, 503);
    simulator.clear_faults();
    until("a token", || simulator.counters().issued == 1).await;
    portvakt.wait_for_log(|line| line.contains("token received"));
    let asked = simulator.counters().received;
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert_eq!(simulator.counters().received, asked, "it was there before anybody asked");
    assert_eq!(simulator.counters().duplicate_jtis, 0);
}
