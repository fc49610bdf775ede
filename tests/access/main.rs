//! Who may have what: caller, integration, scope, consumer_org, pid, resource, authorization_details and network, through the front
//! door: as a table, and against a small model of the policy.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod model;

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, Weak};

use model::Verdict::{Allowed, Refused};
use model::*;
use portvakt::simulator::Simulator;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;
use support::*;

/// One service for all tests that only ask it.
struct Service {
    portvakt: Portvakt,
    _simulator: Simulator,
    /// By the last byte of the address that they ask from, 127.0.0.x.
    clients: [(u8, reqwest::Client); 2],
    runtime: tokio::runtime::Runtime,
}

static SERVICE: Mutex<Weak<Service>> = Mutex::new(Weak::new());

/// The one that runs, or a new one. It ends with the last test that uses it: a static would be dropped by nobody.
fn service() -> Arc<Service> {
    let mut shared = SERVICE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let simulator = simulator();
        let portvakt = Portvakt::start(&Configuration { more: caller_tables(), ..configuration(&simulator) });
        let client = |last: u8| {
            let address = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
            (last, reqwest::Client::builder().no_proxy().timeout(PATIENCE).local_address(address).build().unwrap())
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = Arc::new(Service { portvakt, _simulator: simulator, clients: [client(1), client(2)], runtime });
        *shared = Arc::downgrade(&service);
        service
    })
}

fn details(types: &[&str]) -> String {
    let object = |name: &&str| match *name {
        SYSTEM_USER => {
            serde_json::json!({"type": name, "systemuser_org": {"authority": "iso6523-actorid-upis", "ID": "0192:999888777"}})
        }
        _ => {
            serde_json::json!({"type": name, "id": "7f4fe9fb-9528-45d1-b29f-45f276066000", "from": format!("urn:altinn:person:identifier-no:{PID}")})
        }
    };
    serde_json::Value::from(types.iter().map(object).collect::<Vec<_>>()).to_string()
}

impl Service {
    fn ask(&self, wanted: &Wanted) -> (Verdict, Answer) {
        let (_, client) = self.clients.iter().find(|(last, _)| *last == wanted.from).unwrap();
        let mut request = client.get(self.portvakt.url("/token"));
        request = request.header("X-API-Key", &wanted.key).header("iss", &wanted.iss).header("scope", wanted.scopes.join(" "));
        let once = [("consumer_org", wanted.consumer_org), ("iss_onbehalfof", wanted.iss_onbehalfof), ("pid", wanted.pid.then_some(PID))];
        for (name, value) in once.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request = request.header(name, value);
        }
        for value in &wanted.resource {
            request = request.header("resource", *value);
        }
        if !wanted.details.is_empty() {
            request = request.header("authorization_details", details(&wanted.details));
        }
        let answer = self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.unwrap();
            Answer { status, headers, json: serde_json::from_str(&text).unwrap(), text }
        });
        support::wire::check_document(answer.status, &answer.json);
        let errors = ["invalid_client", "access_denied", "invalid_request", "unauthorized_client", "invalid_scope"];
        let verdict = match answer.status {
            200 | 502 => Allowed,
            status => Refused(status, errors.into_iter().find(|error| *error == answer.error()).unwrap_or("another")),
        };
        (verdict, answer)
    }
}

fn wanted(caller: &str, iss: &str, scopes: &[&'static str]) -> Wanted {
    Wanted { from: 1, key: format!("key-of-{caller}"), iss: iss.to_owned(), scopes: scopes.to_vec(), ..Wanted::default() }
}

#[test]
fn the_table() {
    const DENIED: Verdict = Refused(403, "access_denied");
    const SCOPE: Verdict = Refused(403, "invalid_scope");
    const CLIENT: Verdict = Refused(403, "unauthorized_client");
    let with = |it: Wanted, change: fn(&mut Wanted)| {
        let mut it = it;
        change(&mut it);
        it
    };
    let table = [
        // By name and by client ID; another's, none's, not quite.
        (wanted("plain", "freg", &["test:1"]), Allowed),
        (wanted("plain", FREG, &["test:1"]), Allowed),
        (wanted("plain", KRR, &[KRR_SCOPE]), Allowed),
        (wanted("wide", "krr", &[KRR_SCOPE]), CLIENT),
        (wanted("wide", KRR, &[KRR_SCOPE]), CLIENT),
        (wanted("plain", "FREG", &["test:1"]), CLIENT),
        (wanted("plain", "simulator", &["test:1"]), CLIENT),
        // Scopes: each, all of them, one too many, one of the other integration's.
        (wanted("plain", "freg", &["test:2", "test:1"]), Allowed),
        (wanted("plain", "freg", &["test:1", "test:3"]), SCOPE),
        (wanted("plain", "freg", &["test:10"]), SCOPE),
        (wanted("plain", "freg", &["test:"]), SCOPE),
        (wanted("plain", "freg", &["test:1*"]), SCOPE),
        (wanted("plain", "freg", &["Test:1"]), SCOPE),
        (wanted("plain", "freg", &[KRR_SCOPE]), SCOPE),
        (wanted("plain", "krr", &["test:1"]), SCOPE),
        (wanted("wide", "freg", &["test:1", "test:199"]), Allowed),
        (wanted("wide", "freg", &["test:1", KRR_SCOPE]), SCOPE),
        (wanted("wide", "freg", &["test"]), SCOPE),
        // What may be given, and what may not.
        (with(wanted("plain", "freg", &["test:1"]), |it| it.consumer_org = Some(CONSUMER)), DENIED),
        (with(wanted("plain", "freg", &["test:1"]), |it| it.iss_onbehalfof = Some("supplier")), DENIED),
        (with(wanted("plain", "freg", &["test:1"]), |it| it.resource = vec![API]), DENIED),
        (with(wanted("plain", "freg", &["test:1"]), |it| it.details = vec![SYSTEM_USER]), DENIED),
        (with(wanted("plain", "freg", &["test:1"]), |it| it.pid = true), DENIED),
        (with(wanted("wide", "freg", &["test:1"]), |it| it.consumer_org = Some(CONSUMER)), Allowed),
        (with(wanted("wide", "freg", &["test:1"]), |it| it.iss_onbehalfof = Some("anybody")), Allowed),
        (with(wanted("wide", "freg", &["test:1"]), |it| it.resource = vec![API, OTHER_API]), Allowed),
        (with(wanted("wide", "freg", &["test:1"]), |it| it.details = vec![CONSENT, SYSTEM_USER]), Allowed),
        (with(wanted("wide", "freg", &["test:1"]), |it| it.pid = true), Allowed),
        // Rules are not added up.
        (with(wanted("halves", "freg", &["test:1"]), |it| it.consumer_org = Some(CONSUMER)), Allowed),
        (with(wanted("halves", "freg", &["test:1"]), |it| it.consumer_org = Some(OTHER_CONSUMER)), DENIED),
        (with(wanted("halves", "freg", &["test:2"]), |it| it.consumer_org = Some(CONSUMER)), DENIED),
        (with(wanted("halves", "freg", &["test:2"]), |it| it.resource = vec![API]), Allowed),
        (with(wanted("halves", "freg", &["test:2"]), |it| it.resource = vec![API, OTHER_API]), DENIED),
        (with(wanted("halves", "freg", &["test:2"]), |it| it.pid = true), Allowed),
        (with(wanted("halves", "freg", &["test:1"]), |it| it.pid = true), DENIED),
        (with(wanted("halves", "freg", &["test:1"]), |it| it.details = vec![SYSTEM_USER, CONSENT]), DENIED),
        (with(wanted("halves", "freg", &["test:1", "test:2"]), |it| it.pid = true), DENIED),
        (with(wanted("halves", "freg", &["test:1", "test:2"]), |it| it.iss_onbehalfof = Some("supplier")), Allowed),
        (with(wanted("halves", "freg", &["test:1", "test:2"]), |it| it.iss_onbehalfof = Some("Supplier")), DENIED),
        (
            with(wanted("halves", "freg", &["test:1"]), |it| {
                it.consumer_org = Some(CONSUMER);
                it.resource = vec![API];
            }),
            DENIED,
        ),
        // What is required.
        (wanted("requiring", "freg", &["test:1"]), DENIED),
        (wanted("requiring", "freg", &["test:100"]), DENIED),
        (with(wanted("requiring", "freg", &["test:100"]), |it| it.consumer_org = Some(CONSUMER)), Allowed),
        (with(wanted("requiring", "freg", &["test:2"]), |it| it.pid = true), DENIED),
        (with(wanted("requiring", "freg", &["test:2"]), |it| it.resource = vec![API]), DENIED),
        (
            with(wanted("requiring", "freg", &["test:2"]), |it| {
                it.pid = true;
                it.resource = vec![API];
            }),
            Allowed,
        ),
        (wanted("requiring", "freg", &["test:3"]), DENIED),
        (with(wanted("requiring", "freg", &["test:3"]), |it| it.details = vec![CONSENT]), Allowed),
        (with(wanted("requiring", "freg", &["test:3"]), |it| it.iss_onbehalfof = Some("supplier")), Allowed),
        (wanted("requiring", "freg", &["test:4"]), SCOPE),
        // Where from.
        (wanted("near", "freg", &["test:1"]), DENIED),
        (wanted("near", "nobody", &["test:1"]), DENIED),
        (with(wanted("near", "freg", &["test:1"]), |it| it.from = 2), Allowed),
        (with(wanted("near", "krr", &["test:1"]), |it| it.from = 2), CLIENT),
        (with(wanted("near", "freg", &["any:scope"]), |it| it.from = 2), Allowed),
        (wanted("home", "krr", &[KRR_SCOPE]), Allowed),
        (with(wanted("home", "krr", &[KRR_SCOPE]), |it| it.from = 2), Allowed),
        (wanted("nobody", "freg", &["test:1"]), Refused(401, "invalid_client")),
    ];
    let service = service();
    for (wanted, expected) in table {
        let (found, answer) = service.ask(&wanted);
        assert_eq!(found, expected, "{wanted:?}: {}", answer.text);
        assert_eq!(verdict(&wanted), expected, "the model, {wanted:?}");
    }
}

#[test]
fn a_granted_token_is_for_what_was_asked_and_nothing_else() {
    let service = service();
    let mut asked = wanted("wide", "freg", &["test:50", "test:51"]);
    asked.consumer_org = Some(CONSUMER);
    asked.resource = vec![API];
    let (_, answer) = service.ask(&asked);
    let claims = claims(answer.token());
    assert_eq!((&claims["scope"], &claims["client_id"]), (&"test:50 test:51".into(), &FREG.into()));
    assert!(claims["consumer"]["ID"].as_str().unwrap().ends_with(CONSUMER), "{claims}");
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let keys: Vec<String> = CALLERS.iter().map(Caller::key).chain(["key-of-nobody".to_owned()]).collect();
    let who = (select(vec![1u8, 2]), select(keys), select(vec!["freg", FREG, "krr", KRR, "sim"]));
    let scopes = subsequence(vec!["test:1", "test:2", "test:3", "test:10", KRR_SCOPE], 1..3);
    let consumers = (
        proptest::option::weighted(0.3, select(vec![CONSUMER, OTHER_CONSUMER])),
        proptest::option::weighted(0.2, select(vec!["supplier", "other"])),
    );
    let lists = (subsequence(vec![API, OTHER_API], 0..=2), subsequence(vec![SYSTEM_USER, CONSENT], 0..=2));
    (who, scopes, consumers, lists, proptest::bool::weighted(0.3)).prop_map(|(who, scopes, consumers, lists, pid)| Wanted {
        from: who.0,
        key: who.1,
        iss: who.2.to_owned(),
        scopes,
        consumer_org: consumers.0,
        iss_onbehalfof: consumers.1,
        resource: lists.0,
        details: lists.1,
        pid,
    })
}

#[test]
fn the_door_and_the_model_agree() {
    let service = service();
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let mut tally = std::collections::BTreeMap::<String, usize>::new();
    let counted = std::cell::RefCell::new(&mut tally);
    let run = TestRunner::new(config).run(&any_wanted(), |wanted| {
        let (found, answer) = service.ask(&wanted);
        *counted.borrow_mut().entry(format!("{found:?}")).or_default() += 1;
        prop_assert_eq!(found, verdict(&wanted), "{}", answer.text);
        Ok(())
    });
    run.unwrap();
    // Every kind of answer came: the requests are not all refused for the first thing that is wrong.
    assert_eq!(tally.len(), 6, "{tally:?}");
}

#[test]
fn what_does_not_exist_and_what_is_not_yours_is_answered_alike() {
    let service = service();
    let text = |wanted: &Wanted| service.ask(wanted).1.text;
    let unknown = text(&wanted("wide", "no-such-integration", &["test:1"]));
    for iss in ["krr", KRR, "simulator", "none"] {
        assert_eq!(text(&wanted("wide", iss, &["test:1"])), unknown);
        // A scope that it might have elsewhere tells nothing either.
        assert_eq!(text(&wanted("wide", iss, &[KRR_SCOPE])), unknown);
    }
    let scope = text(&wanted("plain", "freg", &["test:3"]));
    assert_eq!(text(&wanted("plain", "freg", &["no:such:scope"])), scope);
    let consumer = |number| text(&Wanted { consumer_org: Some(number), ..wanted("halves", "freg", &["test:1"]) });
    assert_eq!(consumer(OTHER_CONSUMER), consumer("000000000"));
}

#[tokio::test]
async fn keys_live_as_long_as_they_are_said_to() {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), "key-in-a-file\r\n").unwrap();
    let day = |days: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).strftime("%Y-%m-%d").to_string();
    let second =
        |seconds: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let table = [
        ("yesterday", day(-1), 401),
        ("tomorrow", day(1), 200),
        ("long-ago", "1999-12-31".to_owned(), 401),
        ("a-minute-ago", second(-60), 401),
        ("in-an-hour", second(3600), 200),
    ];
    let keys = table.iter().map(|(key, expires, _)| format!("{{ sha256 = \"{}\", expires = {expires} }}", sha256(key)));
    let keys: Vec<String> = keys.chain(["{ file = 'key' }".to_owned(), format!("{{ sha256 = \"{}\" }}", sha256("for-ever"))]).collect();
    let more = format!(
        "[[caller]]\nname = \"many\"\nkeys = [{}]\nmay = [{{ integration = \"freg\", scopes = [\"{FREG_SCOPE}\"] }}]",
        keys.join(", ")
    );
    std::fs::write(directory.path().join("portvakt.toml"), Configuration { more, ..configuration(&simulator) }.text()).unwrap();
    let portvakt = Portvakt::start_in(directory);
    let ask = |key: &str| portvakt.ask().with("X-Gravitee-Api-Key", key).send();
    let unknown = ask("unknown").await;
    assert_eq!(unknown.status, 401);
    for (key, expires, status) in &table {
        let answer = ask(key).await;
        assert_eq!(answer.status, *status, "{key}, {expires}: {}", answer.text);
        assert!(answer.status == 200 || answer.text == unknown.text, "{}", answer.text);
    }
    assert_eq!(ask("key-in-a-file").await.status, 200);
    assert_eq!(ask("for-ever").await.status, 200);
    assert!(!portvakt.log().iter().any(|line| table.iter().any(|(key, ..)| line.contains(key)) || line.contains("key-in-a-file")));
}

/// A service on another address than 127.0.0.1, where the test machine has it.
async fn from_there(listen: &str, ask: &str, networks: &[(&str, u16)]) {
    if TcpListener::bind(listen).is_err() {
        eprintln!("this machine has no {listen}: nothing tested");
        return;
    }
    let simulator = simulator();
    let caller = |(place, (network, _)): (usize, &(&str, u16))| {
        let digest = sha256(&format!("key-{place}"));
        format!(
            "[[caller]]\nname = \"{place}\"\nkeys = [{{ sha256 = \"{digest}\" }}]\nnetworks = [\"{network}\"]\nmay = [{{ integration = \"freg\", scopes = [\"{FREG_SCOPE}\"] }}]\n"
        )
    };
    let more = networks.iter().enumerate().map(caller).collect();
    let portvakt = Portvakt::start(&Configuration { listen: listen.to_owned(), more, ..configuration(&simulator) });
    let url = format!("http://{ask}:{}/token", portvakt.tokens.port());
    for (place, (network, status)) in networks.iter().enumerate() {
        let request = client().get(&url).header("X-API-Key", format!("key-{place}")).header("iss", FREG).header("scope", FREG_SCOPE);
        assert_eq!(request.send().await.unwrap().status(), *status, "{network} on {listen}");
    }
}

#[tokio::test]
async fn networks_of_version_6_are_networks() {
    from_there("[::1]:0", "[::1]", &[("::1/128", 200), ("::/0", 200), ("2001:db8::/32", 403), ("127.0.0.0/8", 403), ("0.0.0.0/0", 403)])
        .await;
}

#[tokio::test]
async fn an_ipv4_address_is_one_on_a_listener_of_version_6_too() {
    let networks = [
        ("127.0.0.0/8", 200),
        ("127.0.0.1/32", 200),
        ("::ffff:127.0.0.0/104", 200),
        ("127.0.0.2/32", 403),
        ("10.0.0.0/8", 403),
        ("::1/128", 403),
        ("0.0.0.0/0", 200),
    ];
    from_there("[::]:0", "127.0.0.1", &networks).await;
    from_there("127.0.0.1:0", "127.0.0.1", &networks).await;
}
