use super::*;
use crate::telemetry::Metrics;
use proptest::prelude::*;

fn waiting() -> (Arc<Waiting>, WaitingMetrics) {
    let metrics = Metrics::new().unwrap().waiting;
    (Arc::new(Waiting::new(metrics.clone())), metrics)
}

/// All that this integration gets.
fn fill(waiting: &Arc<Waiting>, integration: u32, alone: bool) -> Vec<Waits> {
    std::iter::from_fn(|| waiting.admit(IntegrationId(integration), alone)).collect()
}

#[test]
fn one_alone_has_all_the_room() {
    let (waiting, metrics) = waiting();
    let mut waits = fill(&waiting, 0, true);
    assert_eq!(waits.len(), MOST);
    assert_eq!((metrics.waiting.get(), metrics.refused.get()), (10_000, 1));
    waits.pop();
    assert!(waiting.admit(IntegrationId(0), true).is_some());
}

#[test]
fn of_several_each_leaves_as_much_as_it_has() {
    let (waiting, metrics) = waiting();
    let first = fill(&waiting, 0, false);
    let second = fill(&waiting, 1, false);
    let third = fill(&waiting, 2, false);
    assert_eq!((first.len(), second.len(), third.len()), (5000, 2500, 1250));
    drop(first);
    assert_eq!(fill(&waiting, 2, false).len(), (10_000 - 2500 - 1250 - 1250) / 2);
    drop((second, third));
    assert_eq!(metrics.waiting.get(), 0);
    assert!(waiting.counts().by_integration.is_empty());
}

proptest! {
    #[test]
    fn the_counts_are_those_who_wait_and_a_newcomer_finds_room(steps in prop::collection::vec((0..6u32, any::<bool>(), 1..3000usize), 0..40)) {
        let (waiting, metrics) = waiting();
        let mut waits: HashMap<u32, Vec<Waits>> = HashMap::new();
        for (integration, comes, many) in steps {
            let own = waits.entry(integration).or_default();
            if comes {
                own.extend(std::iter::from_fn(|| waiting.admit(IntegrationId(integration), false)).take(many));
            } else {
                own.truncate(own.len().saturating_sub(many));
            }
            let all: usize = waits.values().map(Vec::len).sum();
            prop_assert_eq!(metrics.waiting.get(), i64::try_from(all).unwrap());
            prop_assert_eq!(waiting.counts().all, all);
            prop_assert!(all <= MOST);
            prop_assert!(waiting.admit(IntegrationId(99), false).is_some(), "six that fill what they get leave room");
        }
    }
}
