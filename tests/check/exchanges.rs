//! Real exchanges: what Maskinporten, or somebody in front of it, says to a grant.

use portvakt::simulator::{FaultKind, Stage};
use rstest::rstest;

use crate::support::*;
use crate::workbench::*;

#[test]
fn good_set_ups_are_all_well() {
    let bench = Workbench::new();
    let report = bench.check(&[]);
    assert_eq!(report.json["result"], "ok", "{}", report.out);
    assert!(report.lines().iter().all(|line| line.result == "ok"), "{}", report.out);
    assert_eq!(report.err, "");
    // Both kinds of key got a token; and no more was asked than is told of.
    let exchanged: Vec<String> = report.lines().into_iter().map(|line| line.name).filter(|name| name.starts_with("exchange")).collect();
    assert_eq!(exchanged, [FREG_EXCHANGE, KRR_EXCHANGE]);
    let counters = bench.simulator.counters();
    assert_eq!((exchanges(&bench.simulator, FREG_SCOPE), exchanges(&bench.simulator, KRR_SCOPE), counters.answered), (1, 1, 2));
    assert!(report.lines().iter().filter(|line| line.name.starts_with("exchange")).all(|line| line.has(&["lives 119 s"])));
}

#[rstest]
#[case::scope_not_registered(|bench: &mut Workbench| bench.freg.prefetch = "[\"folkeregister:deling/offentligutenhjemel\"]".to_owned(), "freg folkeregister:deling/offentligutenhjemel", "MP-200", &["Samarbeidsportalen"])]
#[case::no_such_client(|bench: &mut Workbench| bench.krr.client_id = "66666666-7777-8888-9999-000000000001".to_owned(), "krr krr:global/kontaktinformasjon.read", "MP-100", &["client ID", "environment"])]
#[case::certificate_of_another_organisation(|bench: &mut Workbench| bench.pkcs12("other-organisation.p12"), "krr krr:global/kontaktinformasjon.read", "MP-122", &["organisation"])]
#[case::expired_key(|bench: &mut Workbench| { bench.simulator.fault(for_scope(FaultKind::Error { code: "MP-121".into() }, FREG_SCOPE, None)).unwrap(); }, "freg folkeregister:deling/offentligutenhjemmel", "MP-121", &["Post"])]
#[case::not_granted(|bench: &mut Workbench| { bench.simulator.fault(for_scope(FaultKind::Error { code: "MP-250".into() }, FREG_SCOPE, None)).unwrap(); }, "freg folkeregister:deling/offentligutenhjemmel", "MP-250", &["API provider"])]
#[case::unknown_kid(|bench: &mut Workbench| bench.freg.key = bench.freg.key.replace("portvakt-test-2048", "another"), "freg folkeregister:deling/offentligutenhjemmel", "MP-124", &["kid"])]
#[case::certificate_where_a_key_is_registered(|bench: &mut Workbench| bench.freg.key = bench.krr.key.clone(), "freg folkeregister:deling/offentligutenhjemmel", "", &["registered key", "kid"])]
#[case::html(|bench: &mut Workbench| { bench.simulator.fault(for_scope(FaultKind::Html { status: 200 }, FREG_SCOPE, None)).unwrap(); }, "freg folkeregister:deling/offentligutenhjemmel", "", &["HTML page", "Bad gateway", "proxy"])]
#[case::unavailable(|bench: &mut Workbench| { bench.simulator.fault(for_scope(FaultKind::Status { status: 503, headers: [].into(), body: String::new() }, FREG_SCOPE, None)).unwrap(); }, "freg folkeregister:deling/offentligutenhjemmel", "", &["503", "Wait"])]
#[case::a_hang(
    |bench: &mut Workbench| {
        bench.outbound = "[outbound]\nattempt_timeout = \"1500ms\"".to_owned();
        bench.simulator.fault(for_scope(FaultKind::Hang { at: Stage::BeforeHeaders }, FREG_SCOPE, None)).unwrap();
    },
    "freg folkeregister:deling/offentligutenhjemmel",
    "",
    &["took longer than 1500 ms"]
)]
fn an_exchange_that_fails(#[case] breaking: fn(&mut Workbench), #[case] subject: &str, #[case] code: &str, #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    breaking(&mut bench);
    let line = bench.check(&[]).fails(&format!("exchange {subject}"), words, &[]);
    assert_eq!(line.code, code, "{line:?}");
    assert_eq!(line.trace_id.is_empty(), code.is_empty() && !line.text.contains("trace ID"), "{line:?}");
}

#[test]
fn a_registered_key_where_maskinporten_wants_a_certificate() {
    let mut bench = Workbench::new();
    bench.krr.key = bench.freg.key.clone();
    let report = bench.check(&[]);
    assert_eq!(report.names("failed"), [KRR_EXCHANGE]);
}

#[test]
fn what_a_prefetch_or_a_rule_says_is_in_the_grant() {
    let mut bench = Workbench::new();
    bench.freg.prefetch =
        format!("[{{ scope = \"{FREG_SCOPE}\", consumer_org = \"{CONSUMER}\", resource = [\"https://api.example.no\"] }}]");
    bench.may = format!(
        r#"may = [
  {{ integration = "freg", scopes = ["{FREG_SCOPE_2}", "test:1"], consumer_org = ["{CONSUMER}"], requires = ["consumer_org"] }},
  {{ integration = "freg", scopes = ["test:2", "test:*"] }},
]"#
    );
    let report = bench.check(&[]);
    assert_eq!(report.names("failed"), [""; 0], "{}", report.out);
    let grants = bench.simulator.counters().last_grants;
    let consumers: Vec<&str> =
        grants.iter().map(|grant| grant.claims.get("consumer_org").and_then(|claim| claim.as_str()).unwrap_or("none")).collect();
    assert_eq!(consumers.iter().filter(|consumer| **consumer == CONSUMER).count(), 3, "{consumers:?}");
    assert_eq!(consumers.iter().filter(|consumer| **consumer == "none").count(), 1, "{consumers:?}");
    let mut jtis: Vec<&str> = grants.iter().map(|grant| grant.claims["jti"].as_str().unwrap()).collect();
    jtis.sort_unstable();
    jtis.dedup();
    assert_eq!(jtis.len(), grants.len());
}

#[rstest]
#[case::any_consumer(r#"consumer_org = ["*"], requires = ["consumer_org"]"#, "consumer_org")]
#[case::a_person("pid = true, requires = [\"pid\"]", "pid")]
#[case::details(r#"authorization_details = ["urn:altinn:systemuser"], requires = ["authorization_details"]"#, "authorization_details")]
fn what_only_the_caller_knows_is_skipped(#[case] more: &str, #[case] parameter: &str) {
    let mut bench = Workbench::new();
    bench.may = format!("may = [{{ integration = \"krr\", scopes = [\"{KRR_SCOPE}\"], {more} }}]");
    let report = bench.check(&[]);
    assert_eq!(report.names("skipped"), [KRR_EXCHANGE], "{}", report.out);
    let line = &report.with_result("skipped")[0];
    line.says(&[parameter, "only the caller knows"]);
    assert_eq!(line.because, "callers gateway");
    assert_eq!(report.json["result"], "ok");
}

#[test]
fn nothing_to_exchange_is_one_skipped_line() {
    let mut bench = Workbench::new();
    bench.freg.prefetch = "[]".to_owned();
    bench.may = "may = [{ integration = \"freg\", scopes = [\"folkeregister:deling/*\"] }]".to_owned();
    let report = bench.check(&[]);
    assert_eq!(report.names("skipped"), ["exchange portvakt.toml"], "{}", report.out);
    assert_eq!(bench.simulator.counters().answered, 0);
}

#[test]
fn nothing_that_is_secret_is_said() {
    let bench = Workbench::new();
    bench.simulator.fault(FaultKind::Error { code: "MP-121".into() }.times(1)).unwrap();
    let (json, text) = (bench.check(&[]), bench.check_as_text(&[]));
    let password = std::fs::read_to_string(certs("virksomhet.p12.password")).unwrap();
    for said in [&json.out, &json.err, &text.out, &text.err] {
        for secret in [password.trim(), API_KEY, &sha256(API_KEY), "eyJ"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
}
