use super::*;
use crate::maskinporten::printable;

fn unreachable(reason: UnreachableReason) -> ExchangeError {
    ExchangeError::Unreachable(Unreachable { token_endpoint: "https://test.maskinporten.no/token".into(), reason })
}

fn refused(code: Option<&str>, description: &str, trace_id: Option<&str>) -> ExchangeError {
    ExchangeError::Refused(Box::new(Refusal {
        status: 400,
        error: "invalid_grant".into(),
        description: description.into(),
        code: code.and_then(Code::from_error_uri),
        trace_id: trace_id.map(Into::into),
        error_uri: None,
    }))
}

#[test]
fn the_text_says_what_happened_and_what_it_means() {
    let texts = [
        (
            refused(Some("MP-121"), "Expired key.", Some("abc")),
            "Maskinporten refused the grant with invalid_grant (MP-121, trace ID abc): Expired key. The registered key has expired: a key lives one year from the day it was posted.",
        ),
        (
            refused(Some("MP-999"), "Who knows", None),
            "Maskinporten refused the grant with invalid_grant (MP-999): Who knows. This failure is not in Portvakt's catalogue.",
        ),
        (refused(None, "", None), "Maskinporten refused the grant with invalid_grant. This failure is not in Portvakt's catalogue."),
        (
            refused(None, "Issue time is after now", Some("abc")),
            "Maskinporten refused the grant with invalid_grant (trace ID abc): Issue time is after now. The grant's iat is more than 10 seconds from Maskinporten's clock.",
        ),
        (
            unreachable(UnreachableReason::TimedOut { stage: Stage::Connecting, after: Duration::from_secs(2) }),
            "No answer from https://test.maskinporten.no/token: connecting took longer than 2000 ms. Nothing comes back: something on the way, most often a firewall, drops what is sent.",
        ),
        (
            ExchangeError::Unavailable(Unavailable { status: 503, said: Some("Maintenance".into()), retry_after: None }),
            "Maskinporten, or something in front of it, answered with status 503 (Maintenance). Maskinporten is out of order, or what stands in front of it.",
        ),
        (
            ExchangeError::NotOAuth(NotOAuth { status: 200, found: Found::Html { title: Some("Log in".into()) }, retry_after: None }),
            "The answer (status 200) is not an OAuth answer: it is an HTML page with the title 'Log in'. Maskinporten answers in JSON: this page comes from something on the way, a proxy, a firewall or a login.",
        ),
    ];
    for (error, expected) in texts {
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn what_passes_by_itself() {
    assert!(!refused(Some("MP-012"), "", None).can_pass_by_itself());
    assert!(!unreachable(UnreachableReason::ProxyAuthentication).can_pass_by_itself());
    assert!(!unreachable(UnreachableReason::Certificate("self-signed".into())).can_pass_by_itself());
    assert!(unreachable(UnreachableReason::Connect("refused".into())).can_pass_by_itself());
    let wait = Some(Duration::from_secs(7));
    let unavailable = ExchangeError::Unavailable(Unavailable { status: 429, said: None, retry_after: wait });
    assert!(unavailable.can_pass_by_itself());
    assert_eq!(unavailable.retry_after(), wait);
}

#[test]
fn every_text_has_only_what_an_error_description_may_have() {
    let reasons = [
        UnreachableReason::Request("x".into()),
        UnreachableReason::Dns("x".into()),
        UnreachableReason::Connect("x".into()),
        UnreachableReason::Tls("x".into()),
        UnreachableReason::Certificate("self-signed certificate".into()),
        UnreachableReason::Certificate("hostname mismatch".into()),
        UnreachableReason::Certificate("certificate has expired".into()),
        UnreachableReason::ProxyAuthentication,
        UnreachableReason::ProxyConnection("x".into()),
        UnreachableReason::Proxy("x".into()),
        UnreachableReason::TimedOut { stage: Stage::NameLookup, after: Duration::ZERO },
        UnreachableReason::TimedOut { stage: Stage::Connecting, after: Duration::ZERO },
        UnreachableReason::TimedOut { stage: Stage::Answer, after: Duration::ZERO },
        UnreachableReason::TimedOut { stage: Stage::Body, after: Duration::ZERO },
        UnreachableReason::Interrupted("x".into()),
    ];
    let found = [
        Found::Redirect { to: None },
        Found::Empty,
        Found::Html { title: None },
        Found::Truncated,
        Found::TooLarge,
        Found::NotJson,
        Found::Without("access_token"),
        Found::MalformedToken,
        Found::TokenType(None),
        Found::ExpiresIn("0".into()),
    ];
    let not_oauth = |found| ExchangeError::NotOAuth(NotOAuth { status: 200, found, retry_after: None });
    for error in reasons.map(unreachable).into_iter().chain(found.map(not_oauth)) {
        let text = error.to_string();
        assert_eq!(printable(&text, 1000), text);
        assert!(text.ends_with('.'), "{text}");
    }
}
