//! The log: what it says at the start, whose request a line belongs to, and how often it says the same.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Name};
use portvakt::simulator::FaultKind;
use serde_json::Value;
use support::*;

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The lines with this message.
fn lines(portvakt: &Portvakt, message: &str) -> Vec<Value> {
    portvakt.log().iter().map(|line| json(line)).filter(|line| line["message"] == message).collect()
}

fn error(code: &str) -> FaultKind {
    FaultKind::Error { code: code.to_owned() }
}

#[tokio::test]
async fn every_line_of_a_request_has_its_id_those_of_its_exchange_too() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(error("MP-200").times(1)).unwrap();
    // The first one's refusal is remembered, and POST asks all the same.
    for (id, method, status) in [("first-1", "GET", 502), ("second.2", "POST", 200), ("third_3", "GET", 200)] {
        assert_eq!(portvakt.ask().method(method).with("X-Request-Id", id).send().await.status, status);
    }
    assert_eq!(portvakt.ask().with("X-Request-Id", "fourth").with("iss", "nobody").send().await.status, 403);
    let of = |id: &str| -> Vec<String> {
        // Those of libraries below have it too, but what they say is their own affair.
        let mine = |line: &Value| line["request_id"] == id && line["target"].as_str().unwrap().starts_with("portvakt");
        let log = portvakt.log();
        log.iter().map(|line| json(line)).filter(mine).map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    };
    portvakt.wait_for_log(|line| line.contains("fourth"));
    assert_eq!(of("first-1"), ["no token", "a request got no token"]);
    assert_eq!(of("second.2"), ["token received", "there are tokens again: this failure is over"]);
    // What comes from the cache has no line.
    assert_eq!(of("third_3"), [""; 0]);
    assert_eq!(of("fourth"), ["a request got no token"]);
    // An ID that is none does not get there.
    portvakt.ask().with("X-Request-Id", "a b\"c").with("scope", "test:1").send().await;
    assert!(!portvakt.log().iter().any(|line| line.contains("a b\\\"c")));
}

/// A service whose log is text, as on a terminal: what it says until it listens, and its address.
#[tokio::test]
async fn as_text_a_line_names_its_request_too() {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("portvakt.toml"), configuration(&simulator).text()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_portvakt"))
        .args(["serve", "--log-format", "text", "--config"])
        .arg(directory.path().join("portvakt.toml"))
        .env_remove("PORTVAKT_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listening = log.find(|line| line.contains(" listening ")).unwrap();
    let address = listening.split_whitespace().find_map(|field| field.strip_prefix("tokens=")).unwrap();
    simulator.fault(error("MP-121")).unwrap();
    let headers = [("X-API-Key", API_KEY), ("iss", FREG), ("scope", FREG_SCOPE), ("X-Request-Id", "mine-1")];
    let request = headers.into_iter().fold(client().get(format!("{address}/token")), |request, (name, value)| request.header(name, value));
    assert_eq!(request.send().await.unwrap().status(), 502);
    // The line came before the answer; with its end, a log without it is one that ends.
    child.kill().unwrap();
    child.wait().unwrap();
    let failed = log.find(|line| line.contains("no token")).unwrap();
    for part in [
        " WARN request{request_id=\"mine-1\"}: no token",
        "integration=\"freg\"",
        &format!("scope=\"{FREG_SCOPE}\""),
        "code=\"MP-121\"",
        "trace_id=\"",
        "attempt=1",
        "remedy=\"",
    ] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
}

#[tokio::test]
async fn the_same_failure_is_said_once_and_again_when_it_is_over() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(error("MP-121")).unwrap();
    for number in 0..5 {
        let ask = portvakt.ask().with("scope", &format!("test:{number}")).with("X-Request-Id", &format!("id-{number}"));
        assert_eq!(ask.send().await.status, 502);
    }
    portvakt.wait_for_log(|line| line.contains("no token, as before") && line.contains("id-4"));
    let first = lines(&portvakt, "no token");
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!((&first[0]["level"], &first[0]["request_id"]), (&"WARN".into(), &"id-0".into()));
    for (field, expected) in [("integration", "freg"), ("environment", "simulator"), ("scope", "test:0"), ("code", "MP-121")] {
        assert_eq!(first[0][field], expected, "{first:?}");
    }
    assert_eq!((&first[0]["attempt"], first[0]["trace_id"].as_str().map(str::len)), (&1.into(), Some(32)));
    assert!(first[0]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{first:?}");
    // At debug each has its line, so that every X-Request-Id leads somewhere.
    let again = lines(&portvakt, "no token, as before");
    assert_eq!(again.iter().map(|line| line["request_id"].as_str().unwrap()).collect::<Vec<_>>(), ["id-1", "id-2", "id-3", "id-4"]);
    assert!(again.iter().all(|line| line["level"] == "DEBUG" && line["code"] == "MP-121"), "{again:?}");
    // Another failure, and another integration's, are told all the same.
    simulator.fault(error("MP-100")).unwrap();
    assert_eq!(portvakt.ask().send().await.status, 502);
    assert_eq!(portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE).send().await.status, 502);
    assert_eq!(lines(&portvakt, "no token").len(), 3);
    simulator.clear_faults();
    assert_eq!(portvakt.ask().post().send().await.status, 200);
    let over = lines(&portvakt, "there are tokens again: this failure is over");
    let mut found: Vec<_> = over.iter().map(|line| (line["code"].as_str().unwrap(), line["times"].as_u64().unwrap())).collect();
    found.sort_unstable();
    assert_eq!(found, [("MP-100", 1), ("MP-121", 5)], "{over:?}");
    assert!(over.iter().all(|line| line["level"] == "INFO" && line["integration"] == "freg"), "{over:?}");
}

#[test]
fn at_the_start_it_says_who_signs_with_what_and_who_may_ask() {
    let simulator = simulator();
    let caller = "networks = [\"127.0.0.0/8\"]\nmay = [{ integration = \"freg\", scopes = [\"test:*\"] }]".to_owned();
    let portvakt = Portvakt::start(&Configuration { caller, ..configuration(&simulator) });
    let one = |message: &str, field: &str, value: &str| {
        let found: Vec<_> = lines(&portvakt, message).into_iter().filter(|line| line[field] == value).collect();
        assert_eq!(found.len(), 1, "{message} {value}: {found:?}");
        assert_eq!(found[0]["level"], "INFO");
        found[0].clone()
    };
    let freg = one("signs with a registered key", "integration", "freg");
    for (field, value) in [("client_id", FREG), ("environment", "simulator"), ("kid", "portvakt-test-2048")] {
        assert_eq!(freg[field], value);
    }
    let krr = one("signs with a virksomhetssertifikat", "integration", "krr");
    for (field, value) in [("client_id", KRR), ("organisation", "991825827"), ("expires", "2055-01-01T00:00:00Z")] {
        assert_eq!(krr[field], value, "{krr}");
    }
    let gateway = one("may ask", "caller", "gateway");
    assert_eq!((&gateway["keys"], &gateway["networks"], &gateway["integrations"]), (&1.into(), &1.into(), &"freg".into()));
    assert!(gateway.get("next_expires").is_none(), "{gateway}");
    one("may ask", "caller", "other");
    let listening = one("listening", "version", env!("CARGO_PKG_VERSION"));
    assert_eq!((&listening["integrations"], &listening["callers"]), (&2.into(), &2.into()));
    // Nothing else than that there are two API keys, without their digests.
    let digest = sha256(API_KEY);
    assert!(!portvakt.log().iter().any(|line| line.contains(&digest[..16])));
}

/// A certificate that ends so many days from now, and its key, as `<name>.pem` and `<name>.key`.
fn certificate(directory: &Path, name: &str, days: i64) -> Timestamp {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_nid(Nid::SERIALNUMBER, "991825827").unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let now = Timestamp::now();
    let end = now + SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(10);
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&subject).unwrap();
    certificate.set_issuer_name(&subject).unwrap();
    certificate.set_not_before(&Asn1Time::from_unix(now.as_second() - 400 * 86_400).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::from_unix(end.as_second()).unwrap()).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    std::fs::write(directory.join(format!("{name}.pem")), certificate.build().to_pem().unwrap()).unwrap();
    std::fs::write(directory.join(format!("{name}.key")), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    Timestamp::from_second(end.as_second()).unwrap()
}

#[tokio::test]
async fn what_ends_soon_is_said_at_the_start_and_in_the_metrics() {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    // Days from now; the level and the message of a certificate, and of an API key. None: nothing is said.
    let table = [
        (-3, Some(("WARN", "the certificate is out of its validity, for it has expired: no token until it is renewed"))),
        (3, Some(("WARN", "the certificate expires soon"))),
        (20, Some(("WARN", "the certificate expires soon"))),
        (60, Some(("INFO", "the certificate expires within 90 days"))),
        (120, None),
    ];
    let of_keys = |message: &str| match message {
        "the certificate expires soon" => "an API key expires soon",
        "the certificate expires within 90 days" => "an API key expires within 90 days",
        _ => "an API key has expired: whoever asks with it is refused",
    };
    let (mut more, mut keys, mut ends) = (String::new(), Vec::new(), Vec::new());
    for (days, _) in table {
        let end = certificate(directory.path(), &format!("ends{days}"), days);
        let _ = write!(
            more,
            "[[integration]]\nname = \"ends{days}\"\nclient_id = \"id-{days}\"\nenvironment = \"simulator\"\nkey = {{ certificate_file = 'ends{days}.pem', private_key_file = 'ends{days}.key' }}\n\n"
        );
        keys.push(format!("{{ sha256 = \"{}\", expires = {end} }}", sha256(&format!("key {days}"))));
        ends.push(end);
    }
    let _ = write!(
        more,
        "[[caller]]\nname = \"many\"\nkeys = [{}]\nmay = [{{ integration = \"krr\", scopes = [\"{KRR_SCOPE}\"] }}]\n",
        keys.join(", ")
    );
    std::fs::write(directory.path().join("portvakt.toml"), Configuration { more, ..configuration(&simulator) }.text()).unwrap();
    let portvakt = Portvakt::start_in(directory);
    let log: Vec<Value> = portvakt.log().iter().map(|line| json(line)).collect();
    let said = |field: &str, value: &str| -> Vec<&Value> {
        log.iter().filter(|line| line[field] == value && line.get("remedy").is_some()).collect()
    };
    for ((days, expected), end) in table.into_iter().zip(&ends) {
        let of_certificate = said("integration", &format!("ends{days}"));
        let of_key = said("key", &sha256(&format!("key {days}"))[..8]);
        for (lines, expected) in [(of_certificate, expected), (of_key, expected.map(|(level, message)| (level, of_keys(message))))] {
            let found: Vec<_> = lines.iter().map(|line| (line["level"].as_str().unwrap(), line["message"].as_str().unwrap())).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{days}");
            for line in lines {
                assert_eq!(line["expires"], end.to_string());
                assert_eq!(line["days_left"].as_i64(), (days > 0).then_some(days), "{line}");
            }
        }
        let series = format!("portvakt_certificate_expiry_timestamp_seconds{{integration=\"ends{days}\"}}");
        #[allow(clippy::cast_precision_loss)]
        let expected = end.as_second() as f64;
        assert_eq!(portvakt.metric(&series).await, Some(expected), "{series}");
    }
    let many = lines(&portvakt, "may ask").into_iter().find(|line| line["caller"] == "many").unwrap();
    assert_eq!((&many["keys"], &many["valid_keys"], &many["next_expires"]), (&5.into(), &4.into(), &ends[1].to_string().into()));
    // A registered key's end is known to Maskinporten alone.
    assert!(!portvakt.metrics().await.contains("portvakt_certificate_expiry_timestamp_seconds{integration=\"freg\"}"));
}
