use std::sync::Arc;

use super::*;
use crate::maskinporten::{Algorithm, Circumstances, Code, Environment, ExchangeError, Refusal, Scopes, Setup, SigningKey, Unavailable};
use crate::tokens::IntegrationId;
use openssl::rsa::Rsa;
use std::sync::LazyLock;

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let pem = Rsa::generate(2048).unwrap().private_key_to_pem().unwrap();
    let key = Arc::new(SigningKey::from_pem(&pem, None, "my-kid").unwrap());
    Client::new("2d6f1b0e", Environment::built_in("test").unwrap(), Algorithm::Rs256, Duration::from_secs(60), key).unwrap()
});

fn request(scope: &str) -> TokenRequest {
    TokenRequest::new(IntegrationId(0), Scopes::parse(scope).unwrap())
}

fn diagnosis(error: ExchangeError) -> Arc<Diagnosis> {
    let (scopes, setup) = (Scopes::parse("a:b").unwrap(), Setup::default());
    Arc::new(Diagnosis::of(error, &Circumstances { client: &CLIENT, scopes: &scopes, clock: None, setup: &setup }))
}

fn refused(code: &str) -> Arc<Diagnosis> {
    let code = Code::from_error_uri(code);
    let (error, description) = ("invalid_grant".to_owned(), String::new());
    diagnosis(ExchangeError::Refused(Box::new(Refusal { status: 400, error, description, code, trace_id: None, error_uri: None })))
}

fn outage() -> Arc<Diagnosis> {
    diagnosis(ExchangeError::Unavailable(Unavailable { status: 503, said: None, retry_after: None }))
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// How many more, and how many times in all a failure that is over has happened.
fn going_on(failures: &Failures, now: Instant) -> (Vec<u64>, Vec<u64>) {
    let (repeated, over) = failures.going_on(now);
    (repeated.iter().map(|repeated| repeated.more).collect(), over.iter().map(|over| over.times).collect())
}

#[test]
fn the_first_is_told_then_a_count_a_minute_then_the_end() {
    let (failures, start) = (Failures::default(), Instant::now());
    assert_eq!(failures.failed(&request("a:b"), &outage(), start), Occurrence::First);
    for second in 1..=100 {
        assert_eq!(failures.failed(&request(&format!("a:{second}")), &outage(), after(start, second)), Occurrence::Again);
        let told = if second == 60 { vec![60] } else { vec![] };
        assert_eq!(going_on(&failures, after(start, second)), (told, vec![]), "{second}");
    }
    let over = failures.granted(&request("c:d"));
    assert_eq!(over.iter().map(|over| over.times).collect::<Vec<_>>(), [101]);
    assert!(failures.granted(&request("a:b")).is_empty(), "once");
    assert_eq!(going_on(&failures, after(start, 121)), (vec![40], vec![101]), "what came after the last count, and the end");
    assert_eq!(failures.failed(&request("a:b"), &outage(), after(start, 122)), Occurrence::Again, "so soon it is the same");
    assert_eq!(failures.granted(&request("a:b")).len(), 0);
    assert_eq!(going_on(&failures, after(start, 181)), (vec![1], vec![102]));
    assert_eq!(going_on(&failures, after(start, 241)), (vec![], vec![]));
    assert_eq!(failures.failed(&request("a:b"), &outage(), after(start, 242)), Occurrence::First);
}

#[test]
fn what_comes_and_goes_is_not_told_each_time() {
    let (failures, start) = (Failures::default(), Instant::now());
    let mut lines = 0;
    for second in 0..600 {
        let now = after(start, second);
        lines += usize::from(failures.failed(&request("a:b"), &outage(), now) == Occurrence::First);
        lines += failures.granted(&request("a:b")).len();
        let (repeated, over) = failures.going_on(now);
        lines += repeated.len() + over.len();
    }
    assert!((10..=20).contains(&lines), "{lines} lines in ten minutes");
}

#[test]
fn what_was_asked_for_tells_refusals_apart_and_the_client_does_not() {
    let (failures, start) = (Failures::default(), Instant::now());
    for (code, apart) in [("MP-200", true), ("MP-251", true), ("MP-999", true), ("", true), ("MP-100", false), ("MP-121", false)] {
        let error = refused(code);
        assert_eq!(failures.failed(&request("a:b"), &error, start), Occurrence::First, "{code}");
        let second = failures.failed(&request("c:d"), &error, start);
        assert_eq!(second, if apart { Occurrence::First } else { Occurrence::Again }, "{code}");
    }
    // A token for one scope is not the end of another one's refusal.
    let mut over: Vec<&str> = failures.granted(&request("c:d")).iter().map(|over| over.code).collect();
    over.sort_unstable();
    assert_eq!(over, ["MP-100", "MP-121", "MP-200", "MP-251", "none", "other"]);
    assert_eq!(failures.granted(&request("a:b")).len(), 4);
}

#[test]
fn a_failure_that_nobody_sees_any_more_is_forgotten() {
    let (failures, start) = (Failures::default(), Instant::now());
    failures.failed(&request("a:b"), &refused("MP-200"), start);
    assert_eq!(going_on(&failures, after(start, 599)), (vec![], vec![]));
    assert_eq!(failures.table().len(), 1);
    assert_eq!(going_on(&failures, after(start, 600)), (vec![], vec![]));
    assert!(failures.table().is_empty());
}

#[test]
fn whatever_is_asked_for_it_does_not_grow() {
    let (failures, start) = (Failures::default(), Instant::now());
    for number in 0..10_000 {
        failures.failed(&request(&format!("a:{number}")), &refused(&format!("MP-{number:05}")), start);
    }
    assert_eq!(failures.table().len(), MOST + 1);
    assert_eq!(failures.failed(&request("b:c"), &outage(), start), Occurrence::First, "another kind is told all the same");
}

#[test]
fn what_is_kept_is_short_however_much_was_asked_for_and_said() {
    let (failures, now) = (Failures::default(), Instant::now());
    let long = (0..5000).map(|number| format!("a:{number}")).collect::<Vec<_>>().join(" ");
    let diagnosis = diagnosis(ExchangeError::Unavailable(Unavailable { status: 503, said: Some("x".repeat(50_000)), retry_after: None }));
    assert!(diagnosis.found().len() > LONGEST);
    for number in 0..3 * MOST {
        failures.failed(&request(&format!("{long} b:{number}")), &diagnosis, now);
        failures.failed(&request(&format!("{long} b:{number}")), &refused("MP-200"), now);
    }
    let table = failures.table();
    assert!(table.len() <= MOST + 2, "{}", table.len());
    let texts = table.values().flat_map(|course| [&course.scope, &course.latest.found, &course.latest.remedy]);
    assert!(texts.map(|text| text.len()).sum::<usize>() <= 3 * LONGEST * (MOST + 2));
}
