use super::*;
use proptest::prelude::*;

/// The pauses until a token ends, the first after a failure with so much left.
fn pauses(left: Duration, pause: impl Fn(u32, Duration) -> Duration) -> Vec<(Duration, Duration)> {
    let (mut left, mut pauses) = (left, Vec::new());
    for attempt in 0.. {
        let pause = pause(attempt, left);
        if pause >= left {
            break;
        }
        pauses.push((left, pause));
        left -= pause;
    }
    pauses
}

proptest! {
    #[test]
    fn many_attempts_fit_into_what_is_left_of_a_token(left in 1_100..3_600_000u64) {
        let pauses = pauses(Duration::from_millis(left), pause_after_what_passes);
        prop_assert!(pauses.len() >= 15, "{pauses:?}");
        for (left, pause) in pauses {
            prop_assert!(pause >= Duration::from_millis(40) && pause <= Duration::from_secs(30));
            prop_assert!(pause <= (left / 16).max(Duration::from_millis(60)), "{pause:?} with {left:?} left");
        }
    }

    #[test]
    fn after_a_refusal_two_more_fit_and_not_many(left in 1_100..3_600_000u64) {
        let pauses = pauses(Duration::from_millis(left), pause_after_a_refusal);
        prop_assert!(pauses.len() >= 2 && pauses.len() <= 15 + usize::try_from(left / 30_000).unwrap(), "{pauses:?}");
        for (left, pause) in pauses {
            prop_assert!(pause >= Duration::from_millis(250) && pause <= Duration::from_secs(60));
            prop_assert!(pause <= (left * 3 / 5).max(Duration::from_millis(250)));
        }
    }
}

#[test]
fn twenty_attempts_fit_into_the_last_fifth_of_six_seconds() {
    for _ in 0..100 {
        assert!(pauses(Duration::from_millis(1200), pause_after_what_passes).len() >= 19);
    }
}
