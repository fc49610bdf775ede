//! What Maskinporten, or the way to it, does to an answer.

use std::collections::BTreeMap;

use portvakt::simulator::{FaultKind, Rule, Stage};
use serde_json::Value;

use crate::door::*;
use crate::support::wire::{RawAnswer, Wire};
use crate::support::*;

fn ask(portvakt: &Portvakt, request: &Request) -> RawAnswer {
    Wire::connect(portvakt.tokens).ask(request.bytes()).checked()
}

fn status(status: u16, retry_after: Option<&str>, body: &str) -> FaultKind {
    let headers = retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned()));
    FaultKind::Status { status, headers: headers.into_iter().collect::<BTreeMap<_, _>>(), body: body.to_owned() }
}

/// With a scope of its own, so that nothing is remembered from one row to the next.
fn asking(number: usize) -> Request {
    request().with("scope", format!("test:{number}"))
}

#[test]
fn a_refusal_is_passed_on_with_its_own_error_code_and_trace_id() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for (number, rule) in Rule::all().enumerate() {
        simulator.fault(FaultKind::Error { code: rule.name().to_owned() }).unwrap();
        let answer = ask(&portvakt, &asking(number));
        assert_eq!((answer.status, answer.error()), (502, rule.error()), "{answer:?}");
        assert_eq!(answer.json.get("maskinporten_code").and_then(Value::as_str), rule.code(), "{answer:?}");
        assert_eq!(answer.json["trace_id"].as_str().map(str::len), Some(32), "{answer:?}");
        let error_uri = rule.code().map(|code| format!("{}errors/{code}", simulator.issuer()));
        assert_eq!(answer.json.get("error_uri").and_then(Value::as_str), error_uri.as_deref(), "{answer:?}");
        assert!(answer.description().starts_with("Maskinporten refused the grant"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), None);
    }
}

#[test]
fn what_others_say_is_cleaned_before_it_is_passed_on() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let body = serde_json::json!({
        "error": "invalid\"_\\grant\n",
        "error_description": "Bl\u{e5}b\u{e6}r \"og\"\r\nC:\\ 01017012345 \u{0} (trace_id: abc-123)",
        "error_uri": "https://x.example.no/\u{f8}/errors/MP-999",
        "access_token": "secret", "more": {"than": "allowed"},
    });
    simulator.fault(status(400, None, &body.to_string())).unwrap();
    let answer = ask(&portvakt, &asking(0));
    assert_eq!(answer.status, 502);
    assert_eq!((&answer.json["maskinporten_code"], &answer.json["trace_id"]), (&"MP-999".into(), &"abc-123".into()));
    for name in ["error", "error_description", "error_uri"] {
        let text = answer.json[name].as_str().unwrap();
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'), "{text}");
    }
    assert!(!answer.body.contains("01017012345") && !answer.body.contains("secret"), "{answer:?}");
}

#[test]
fn an_outage_is_unavailable_and_says_when_to_come_back() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let oauth = r#"{"error":"temporarily_unavailable","error_description":"later"}"#;
    let in_the_past = "Sun, 06 Nov 1994 08:49:37 GMT";
    let table = [
        (status(429, Some("70"), ""), Some("70")),
        (status(503, Some("120"), ""), Some("120")),
        (status(503, Some("120"), oauth), Some("120")),
        (status(500, Some("0"), ""), Some("1")),
        (status(503, Some("86400"), ""), Some("3600")),
        (status(503, Some(in_the_past), ""), Some("1")),
        (status(503, Some("soon"), "<html>"), None),
        (status(429, None, oauth), None),
        (status(500, None, ""), None),
        (status(408, None, ""), None),
        (FaultKind::Html { status: 502 }, None),
        (FaultKind::Html { status: 200 }, None),
        (FaultKind::Html { status: 403 }, None),
        (FaultKind::Empty { status: 200 }, None),
        (FaultKind::Empty { status: 400 }, None),
        (status(302, None, ""), None),
        (status(400, None, "{}"), None),
        (status(400, Some("9"), "no JSON"), Some("9")),
        (FaultKind::Truncated {}, None),
        (FaultKind::Reset { at: Stage::BeforeHeaders }, None),
        (FaultKind::Reset { at: Stage::InBody }, None),
        (FaultKind::Oversized { bytes: 100_000 }, None),
        (FaultKind::TokenType { value: "MAC".to_owned() }, None),
        (FaultKind::ExpiresIn { value: 0.into() }, None),
        (FaultKind::ExpiresIn { value: (-1).into() }, None),
    ];
    for (number, (fault, retry_after)) in table.into_iter().enumerate() {
        let name = format!("{fault:?}");
        simulator.fault(fault).unwrap();
        let answer = ask(&portvakt, &asking(number));
        assert_eq!((answer.status, answer.error()), (503, "temporarily_unavailable"), "{name}: {answer:?}");
        let seconds = answer.header("retry-after").unwrap_or_else(|| panic!("{name}: {answer:?}"));
        assert!(seconds.parse::<u64>().unwrap() >= 1, "{name}: {answer:?}");
        assert!(retry_after.is_none_or(|expected| expected == seconds), "{name}: {answer:?}");
        // Nothing but failures for five seconds would open the circuit.
        simulator.clear_faults();
        assert_eq!(ask(&portvakt, &asking(100 + number)).status, 200);
    }
}

#[test]
fn nobody_there_is_unavailable_too() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let issuer = format!("http://{nobody}/");
    let token_endpoint = format!("{issuer}token");
    let portvakt = Portvakt::start(&Configuration { issuer, token_endpoint, ..Configuration::default() });
    let answer = ask(&portvakt, &request());
    assert_eq!((answer.status, answer.error()), (503, "temporarily_unavailable"), "{answer:?}");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert!(answer.description().contains("no connection could be made"), "{answer:?}");
}

#[test]
fn no_answer_within_the_deadline_is_504() {
    let simulator = simulator();
    let sections = "[outbound]\ndeadline = \"300ms\"\nattempt_timeout = \"2s\"".to_owned();
    let portvakt = Portvakt::start(&Configuration { sections, ..configuration(&simulator) });
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    for request in [request(), request().method("POST"), asking(1).field("pid", "01017012345")] {
        let answer = ask(&portvakt, &request);
        assert_eq!((answer.status, answer.error()), (504, "temporarily_unavailable"), "{answer:?}");
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    // Who can be answered is answered all the same.
    assert_eq!(ask(&portvakt, &request().with("iss", "nobody")).status, 403);
}

#[test]
fn a_certificate_out_of_its_validity_stops_its_own_integration_alone() {
    let simulator = simulator();
    for name in ["expired", "not-yet-valid"] {
        let key = certs(&format!("{name}.p12"));
        let krr_key = format!("{{ pkcs12_file = '{}', password_file = '{}' }}", key.display(), certs("virksomhet.p12.password").display());
        let portvakt = Portvakt::start(&Configuration { krr_key, ..configuration(&simulator) });
        for method in ["GET", "POST"] {
            let answer = ask(&portvakt, &request().method(method).with("iss", KRR).with("scope", KRR_SCOPE));
            assert_eq!((answer.status, answer.error()), (503, "temporarily_unavailable"), "{answer:?}");
            assert_eq!(answer.header("retry-after"), Some("60"));
            assert!(
                answer.description().contains("certificate")
                    && answer.description().contains("Put a valid virksomhetssertifikat in its place"),
                "{answer:?}"
            );
        }
        assert_eq!(ask(&portvakt, &request()).status, 200);
    }
    assert!(!simulator.counters().clients.contains_key(KRR));
}

#[test]
fn a_token_whose_life_nobody_knows_is_handed_on_without_one() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(FaultKind::WithoutExpiresIn {}).unwrap();
    let one = ask(&portvakt, &request());
    assert!(one.json.get("expires_in").is_none(), "{one:?}");
    assert_ne!(one.token(), ask(&portvakt, &request()).token());
    for (number, (value, seconds)) in
        [(Value::from("30"), 29..=30), (Value::from(999_999), 7199..=7200), (Value::from(1), 1..=1)].into_iter().enumerate()
    {
        simulator.fault(FaultKind::ExpiresIn { value }).unwrap();
        let answer = ask(&portvakt, &asking(number));
        assert!(seconds.contains(&answer.json["expires_in"].as_u64().unwrap()), "{answer:?}");
    }
}
