use super::*;
use std::collections::HashSet;

const A: IntegrationId = IntegrationId(0);
const B: IntegrationId = IntegrationId(1);

fn trials() -> (Trials<&'static str>, Instant) {
    let (mut trials, now) = (Trials::new(), Instant::now());
    trials.begin(now);
    (trials, now)
}

fn after(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

/// What is tried in the next seconds, one a second.
fn tried(trials: &mut Trials<&'static str>, now: Instant, seconds: u64) -> Vec<&'static str> {
    (1..=seconds).filter_map(|second| trials.take(after(now, second), |_| true)).collect()
}

#[test]
fn one_a_second_for_as_long_as_anybody_wants_one() {
    let (mut trials, now) = trials();
    assert!(trials.refused(A, now, || "refused"), "somebody has to make them");
    assert!(!trials.refused(A, now, || "refused too"), "somebody does");
    assert_eq!(trials.next(), Some(after(now, 1)));
    assert_eq!(tried(&mut trials, now, 2), ["refused", "refused"]);
    trials.refused(A, after(now, 2), || "another");
    assert_eq!(tried(&mut trials, after(now, 2), 40), ["another"; 29], "for half a minute");
    assert_eq!(trials.next(), None);
    assert!(trials.refused(A, after(now, 42), || "later"), "nobody makes them any more");
    assert_eq!(trials.next(), Some(after(now, 43)), "not sooner than a second after the last");
}

#[test]
fn renewals_requests_and_integrations_take_turns() {
    let (mut trials, now) = trials();
    let _first = trials.hold(A, None, "first");
    let _second = trials.hold(A, None, "second");
    trials.refused(A, now, || "refused");
    assert_eq!(tried(&mut trials, now, 4), ["first", "refused", "second", "refused"]);
    let _other = trials.hold(B, None, "other");
    let seen = tried(&mut trials, now, 4);
    assert_eq!(seen.iter().filter(|tried| **tried == "other").count(), 2, "{seen:?}");
}

#[test]
fn who_waits_no_more_is_not_tried() {
    let (mut trials, now) = trials();
    let gone = trials.hold(A, None, "gone");
    let (mut ended, _) = trials.hold(A, Some(after(now, 2)), "ended");
    drop(gone);
    assert_eq!(tried(&mut trials, now, 3), ["ended"]);
    assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert_eq!(trials.next(), None);
}

#[test]
fn an_integration_that_may_not_be_tried_keeps_its_renewals_and_no_request() {
    let (mut trials, now) = trials();
    let _renewal = trials.hold(A, None, "renewal");
    trials.refused(A, now, || "refused");
    let _other = trials.hold(B, None, "other");
    for second in 1..4 {
        assert_eq!(trials.take(after(now, second), |integration| integration == B), Some("other"));
    }
    let seen: HashSet<&str> = tried(&mut trials, after(now, 4), 4).into_iter().collect();
    assert_eq!(seen, ["renewal", "other"].into());
}

#[test]
fn what_has_waited_is_resumed_over_a_time_that_grows_with_it() {
    for (count, spread) in [(2, 2), (60, 2), (500, 10), (10_000, 60)] {
        let (mut trials, now) = trials();
        let far = after(now, 3600);
        let _waiting: Vec<_> = (0..count).map(|_| trials.hold(A, Some(far), "renewal")).collect();
        let resumed = trials.end(now);
        assert_eq!(resumed.len(), count);
        let mut tenths = vec![0; spread * 10];
        for (_, after) in resumed {
            tenths[usize::try_from(after.as_millis()).unwrap() / 100] += 1;
        }
        let most = count.div_ceil(spread * 10) + 2;
        assert!(tenths.iter().all(|tenth| *tenth <= most), "{count}: {tenths:?}");
        assert!(tenths[spread * 5..].iter().sum::<usize>() >= count / 2 - 1, "{count}: {tenths:?}");
        assert_eq!(trials.next(), None);
    }
}

#[test]
fn nothing_is_resumed_when_its_token_has_half_ended_and_all_the_same_not_all_at_once() {
    let (mut trials, now) = trials();
    let mut waiting: Vec<_> = (0..100).map(|_| trials.hold(A, Some(after(now, 1)), "renewal").0).collect();
    let (mut without, _) = trials.hold(B, None, "without a token");
    for (resume, after) in trials.end(now) {
        let _ = resume.send(after);
    }
    let mut tenths = [0; 5];
    for resumed in &mut waiting {
        tenths[usize::try_from(resumed.try_recv().unwrap().as_millis()).unwrap() / 100] += 1;
    }
    assert!(tenths.iter().all(|tenth| *tenth <= 22), "{tenths:?}");
    assert!(without.try_recv().unwrap() < Duration::from_millis(20), "at once");
}
