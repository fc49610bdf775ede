use std::collections::HashMap;
use std::sync::LazyLock;

use openssl::rsa::Rsa;
use proptest::prelude::*;

use super::*;
use crate::maskinporten::{Algorithm, Circumstances, Client, Environment, ExchangeError, Refusal, Scopes, Setup, SigningKey, Unavailable};
use crate::tokens::{Details, IntegrationId, Private};

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let pem = Rsa::generate(2048).unwrap().private_key_to_pem().unwrap();
    let key = Arc::new(SigningKey::from_pem(&pem, None, "my-kid").unwrap());
    Client::new("2d6f1b0e", Environment::built_in("test").unwrap(), Algorithm::Rs256, Duration::from_secs(60), key).unwrap()
});
static REFUSED: LazyLock<Arc<Diagnosis>> = LazyLock::new(|| refused(String::new()));

fn request(scope: &str) -> TokenRequest {
    TokenRequest::new(IntegrationId(0), Scopes::parse(scope).unwrap())
}

fn diagnosis(error: ExchangeError) -> Arc<Diagnosis> {
    let (scopes, setup) = (Scopes::parse("a:b").unwrap(), Setup::default());
    Arc::new(Diagnosis::of(error, &Circumstances { client: &CLIENT, scopes: &scopes, clock: None, setup: &setup }))
}

fn refused(description: String) -> Arc<Diagnosis> {
    let error = "invalid_scope".to_owned();
    diagnosis(ExchangeError::Refused(Box::new(Refusal { status: 400, error, description, code: None, trace_id: None, error_uri: None })))
}

fn outage(retry_after: Option<u64>) -> Arc<Diagnosis> {
    diagnosis(ExchangeError::Unavailable(Unavailable { status: 429, said: None, retry_after: retry_after.map(seconds) }))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// For how many seconds it is remembered from then on, as whoever asks is told.
fn left(refusals: &Refusals, request: &TokenRequest, now: Instant) -> Option<u64> {
    refusals.recall(request, now).map(|remembered| remembered.left().as_secs())
}

#[test]
fn each_repetition_is_remembered_for_twice_as_long_up_to_a_minute() {
    let (refusals, request, mut now) = (Refusals::new(), request("a:b"), Instant::now());
    for expected in [5, 10, 20, 40, 60, 60, 60] {
        refusals.remember(&request, &REFUSED, refusals.as_of(), now);
        assert_eq!(left(&refusals, &request, now), Some(expected));
        let remembered = refusals.recall(&request, now + seconds(2)).unwrap();
        assert_eq!((remembered.age(), remembered.left()), (seconds(2), seconds(expected - 2)));
        assert!(left(&refusals, &request, now + Duration::from_millis(expected * 1000 - 1)).is_some());
        now += seconds(expected);
        assert_eq!(left(&refusals, &request, now), None);
        // The last moment at which it is still a repetition.
        now += Duration::from_millis(59_999);
    }
    now += Duration::from_millis(61_001);
    refusals.remember(&request, &REFUSED, refusals.as_of(), now);
    assert_eq!(left(&refusals, &request, now), Some(5), "nobody was refused for a minute");
}

#[test]
fn it_begins_anew_when_a_token_came_and_when_all_is_forgotten() {
    let (refusals, wanted, other, now) = (Refusals::new(), request("a:b"), request("c:d"), Instant::now());
    let forget: [&dyn Fn(); 2] = [&|| refusals.forget(&wanted), &|| refusals.clear()];
    for forget in forget {
        for (request, at) in [(&wanted, now), (&wanted, now + seconds(5)), (&other, now)] {
            refusals.remember(request, &REFUSED, refusals.as_of(), at);
        }
        assert_eq!(left(&refusals, &wanted, now + seconds(5)), Some(10));
        assert_eq!(left(&refusals, &other, now), Some(5));
        forget();
        assert_eq!(left(&refusals, &wanted, now + seconds(5)), None);
        refusals.remember(&wanted, &REFUSED, refusals.as_of(), now + seconds(5));
        assert_eq!(left(&refusals, &wanted, now + seconds(5)), Some(5));
        refusals.forget(&wanted);
    }
    assert_eq!(left(&refusals, &other, now), None, "all was forgotten");
}

#[test]
fn what_an_exchange_from_before_learns_is_not_remembered() {
    let (refusals, request, now) = (Refusals::new(), request("a:b"), Instant::now());
    let before = refusals.as_of();
    refusals.clear();
    refusals.remember(&request, &REFUSED, before, now);
    assert_eq!(left(&refusals, &request, now), None);
}

#[test]
fn what_passes_by_itself_is_remembered_only_for_as_long_as_it_asked_us_to_wait() {
    let (refusals, request, now) = (Refusals::new(), request("a:b"), Instant::now());
    for none in [outage(None), outage(Some(0))] {
        refusals.remember(&request, &none, refusals.as_of(), now);
        assert_eq!(left(&refusals, &request, now), None);
    }
    refusals.remember(&request, &outage(Some(30)), refusals.as_of(), now);
    assert!(refusals.recall(&request, now).unwrap().asks_to_wait());
    refusals.remember(&request, &outage(Some(7)), refusals.as_of(), now);
    assert_eq!(left(&refusals, &request, now), Some(7), "no repetition makes it longer");
    // A refusal's count goes on over it.
    refusals.remember(&request, &REFUSED, refusals.as_of(), now);
    assert_eq!(left(&refusals, &request, now), Some(5));
    assert!(!refusals.recall(&request, now).unwrap().asks_to_wait());
    refusals.remember(&request, &outage(Some(1)), refusals.as_of(), now);
    refusals.remember(&request, &REFUSED, refusals.as_of(), now + seconds(1));
    assert_eq!(left(&refusals, &request, now + seconds(1)), Some(10));
}

#[test]
fn what_is_refused_while_it_is_remembered_is_no_repetition() {
    let (refusals, request, now) = (Refusals::new(), request("a:b"), Instant::now());
    for second in 0..5 {
        refusals.remember(&request, &REFUSED, refusals.as_of(), now + seconds(second));
        assert_eq!(left(&refusals, &request, now + seconds(second)), Some(5));
    }
    refusals.remember(&request, &REFUSED, refusals.as_of(), now + seconds(9));
    assert_eq!(left(&refusals, &request, now + seconds(9)), Some(10));
}

#[test]
fn whatever_is_asked_for_it_does_not_grow() {
    let (refusals, now) = (Refusals::new(), Instant::now());
    // As long as a refusal's description can be.
    let refused = refused("x".repeat(300));
    for number in 0..20_000 {
        refusals.remember(&request(&format!("a:{number}")), &refused, refusals.as_of(), now);
        if number % 1000 == 999 {
            refusals.tidy();
        }
    }
    refusals.tidy();
    assert!(refusals.remembered.weighted_size() <= ROOM);
    assert!((1000..4000).contains(&refusals.remembered.entry_count()), "{}", refusals.remembered.entry_count());
    assert!(left(&refusals, &request("a:19999"), now).is_some(), "the last ones stay");
    assert_eq!(left(&refusals, &request("a:0"), now), None);
}

#[derive(Clone, Debug)]
enum Event {
    Refused(u8),
    Granted(u8),
    Clear,
    Passes(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3_u8).prop_map(Event::Refused),
        1 => (0..3_u8).prop_map(Event::Granted),
        1 => Just(Event::Clear),
        4 => (0..90_u64).prop_map(Event::Passes),
    ]
}

proptest! {
    /// Beside a model that holds nothing but the last refusal of each request: when, and for how long.
    #[test]
    fn it_is_as_long_as_the_rules_say(events in proptest::collection::vec(event(), 0..60)) {
        let (refusals, mut now) = (Refusals::new(), Instant::now());
        let name = |number: u8| match number {
            // Two that differ only in whom they name.
            0 => request("a:b"),
            number => request("a:b").with(Details { pid: Some(Private::new(number.to_string())), ..Details::default() }),
        };
        let mut model: HashMap<u8, (Instant, u64)> = HashMap::new();
        for event in events {
            match event {
                Event::Refused(number) => {
                    let before = model.get(&number).filter(|(at, lasts)| now < *at + seconds(lasts + 60));
                    let lasts = before.map_or(5, |(at, lasts)| if now < *at + seconds(*lasts) { *lasts } else { (lasts * 2).min(60) });
                    model.insert(number, (now, lasts));
                    refusals.remember(&name(number), &REFUSED, refusals.as_of(), now);
                }
                Event::Granted(number) => {
                    model.remove(&number);
                    refusals.forget(&name(number));
                }
                Event::Clear => {
                    model.clear();
                    refusals.clear();
                }
                Event::Passes(passed) => now += seconds(passed),
            }
            for number in 0..3 {
                let expected = model.get(&number).map(|(at, lasts)| *at + seconds(*lasts)).filter(|until| now < *until);
                let found = refusals.recall(&name(number), now).map(|remembered| now + remembered.left());
                prop_assert_eq!(found, expected);
            }
        }
    }
}
