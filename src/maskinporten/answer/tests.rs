use super::*;
use proptest::prelude::*;
use reqwest::header::HeaderValue;
use rstest::rstest;
use std::time::UNIX_EPOCH;

const TOKEN: &str = r#"{"access_token":"abc-._~+/012==","token_type":"Bearer","expires_in":119,"scope":"b:write a:read"}"#;

fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn answer(status: u16, pairs: &[(HeaderName, &'static str)], body: &Body<'_>) -> Result<AccessToken, ExchangeError> {
    let headers = headers(pairs);
    read(&Head { status, headers: &headers, received: UNIX_EPOCH + Duration::from_secs(784_111_777) }, body)
}

fn whole(status: u16, body: &str) -> Result<AccessToken, ExchangeError> {
    answer(status, &[], &Body::Whole(body.as_bytes()))
}

fn found(status: u16, body: &str) -> Found {
    match whole(status, body) {
        Err(ExchangeError::NotOAuth(not_oauth)) => {
            assert_eq!(not_oauth.status, status);
            not_oauth.found
        }
        other => panic!("{other:?}"),
    }
}

fn refused(status: u16, body: &str) -> Refusal {
    match whole(status, body) {
        Err(ExchangeError::Refused(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token() {
    let token = whole(200, TOKEN).unwrap();
    assert_eq!(token.expose_secret(), b"abc-._~+/012==");
    assert_eq!(token.expires_in(), Some(Duration::from_secs(119)));
    assert_eq!(token.scope(), Some(&Scopes::parse("a:read b:write").unwrap()));
}

#[test]
fn members_that_are_unknown_or_twice_and_spaces_are_tolerated() {
    let body = "\r\n {\"access_token\":\"old\",\"new_member\":{\"a\":[1,{}]},\"access_token\":\"a\\/b\",\"token_type\":\"Bearer\"} \n";
    let token = whole(200, body).unwrap();
    assert_eq!(token.expose_secret(), b"a/b");
    assert_eq!((token.expires_in(), token.scope()), (None, None));
}

#[rstest]
#[case("119", Ok(Some(119)))]
#[case("\"119\"", Ok(Some(119)))]
#[case("1", Ok(Some(1)))]
#[case("86400", Ok(Some(86_400)))]
#[case("86401", Ok(Some(7200)))]
#[case("99999999999999999999999999", Ok(Some(7200)))]
#[case("\"99999999999999999999999999\"", Ok(Some(7200)))]
#[case("null", Ok(None))]
#[case("0", Err("0"))]
#[case("\"000\"", Err("000"))]
#[case("-1", Err("-1"))]
#[case("\"-119\"", Err("-119"))]
#[case("119.5", Err("119.5"))]
#[case("119.0", Err("119.0"))]
#[case("1e2", Err("1e2"))]
#[case("\"+119\"", Err("+119"))]
#[case("\" 119\"", Err("119"))]
#[case("\"\"", Err(""))]
#[case("\"soon\"", Err("soon"))]
#[case("true", Err("true"))]
#[case("[119]", Err("[119]"))]
#[case("{\"a\":1}", Err("{'a':1}"))]
fn lifetimes(#[case] json: &str, #[case] expected: Result<Option<u64>, &str>) {
    let body = format!(r#"{{"access_token":"abc","token_type":"Bearer","expires_in":{json}}}"#);
    match expected {
        Ok(seconds) => assert_eq!(whole(200, &body).unwrap().expires_in(), seconds.map(Duration::from_secs)),
        Err(text) => assert_eq!(found(200, &body), Found::ExpiresIn(text.into())),
    }
}

#[rstest]
#[case("\"DPoP\"", Some("DPoP"))]
#[case("\"Bearer \"", Some("Bearer"))]
#[case("\"\"", Some(""))]
#[case("null", None)]
#[case("[\"Bearer\"]", None)]
fn token_types_that_are_refused(#[case] json: &str, #[case] said: Option<&str>) {
    let body = format!(r#"{{"access_token":"abc","token_type":{json}}}"#);
    assert_eq!(found(200, &body), Found::TokenType(said.map(Into::into)));
    assert_eq!(found(200, r#"{"access_token":"abc"}"#), Found::TokenType(None));
}

#[rstest]
#[case("Bearer")]
#[case("bearer")]
#[case("BEARER")]
fn token_types_that_are_taken(#[case] token_type: &str) {
    assert!(whole(200, &format!(r#"{{"access_token":"abc","token_type":"{token_type}"}}"#)).is_ok());
}

#[rstest]
#[case("")]
#[case("=")]
#[case("a=b")]
#[case("a b")]
#[case("a\\nb")]
#[case("a\\\"b")]
#[case("æ")]
#[case("\\u0000")]
fn texts_that_are_no_bearer_token(#[case] token: &str) {
    assert_eq!(found(200, &format!(r#"{{"access_token":"{token}","token_type":"Bearer"}}"#)), Found::MalformedToken);
}

#[rstest]
#[case(200, "", Found::Empty)]
#[case(204, " \r\n", Found::Empty)]
#[case(200, "<!DOCTYPE html><HTML><Head><TITLE lang='no'>\n Logg  p\u{e5}\n </TITLE>", Found::Html { title: Some("Logg pa".into()) })]
#[case(200, "<html><title></title>", Found::Html { title: None })]
#[case(200, "<html><title", Found::Html { title: None })]
#[case(403, "<html><title>Forbidden</title></html>", Found::Html { title: Some("Forbidden".into()) })]
#[case(200, "{\"access_token\":\"abc", Found::Truncated)]
#[case(200, "{", Found::Truncated)]
#[case(200, "OK", Found::NotJson)]
#[case(200, "{\"access_token\":}", Found::NotJson)]
#[case(200, "[]", Found::Without("members"))]
#[case(200, "\"token\"", Found::Without("members"))]
#[case(200, "{}", Found::Without("access_token"))]
#[case(200, "{\"access_token\":null,\"token_type\":\"Bearer\"}", Found::Without("access_token"))]
#[case(200, "{\"access_token\":7,\"token_type\":\"Bearer\"}", Found::Without("access_token"))]
#[case(200, "{\"error\":\"invalid_grant\"}", Found::Without("access_token"))]
#[case(400, "", Found::Empty)]
#[case(400, "{}", Found::Without("error"))]
#[case(400, "{\"error\":{\"code\":400}}", Found::Without("error"))]
#[case(400, "{\"error\":\"\"}", Found::Without("error"))]
#[case(404, TOKEN, Found::Without("error"))]
#[case(101, "", Found::Empty)]
fn what_is_no_oauth_answer(#[case] status: u16, #[case] body: &str, #[case] expected: Found) {
    assert_eq!(found(status, body), expected);
}

#[rstest]
#[case(Some("https://login.example.no:8443/path?session=secret"), Some("https://login.example.no:8443"))]
#[case(Some("/errors/sorry"), Some("another path of the same host"))]
#[case(Some("mailto:a@b"), None)]
#[case(None, None)]
fn redirects(#[case] location: Option<&'static str>, #[case] expected: Option<&str>) {
    let pairs: Vec<_> = location.map(|location| (LOCATION, location)).into_iter().collect();
    let Err(ExchangeError::NotOAuth(not_oauth)) = answer(302, &pairs, &Body::Whole(TOKEN.as_bytes())) else { panic!() };
    assert_eq!(not_oauth.found, Found::Redirect { to: expected.map(Into::into) });
}

#[test]
fn a_body_that_did_not_come_whole() {
    for (body, expected) in [(Body::Truncated, Found::Truncated), (Body::TooLarge, Found::TooLarge)] {
        for status in [200, 400] {
            let Err(ExchangeError::NotOAuth(not_oauth)) = answer(status, &[], &body) else { panic!() };
            assert_eq!(not_oauth.found, expected);
        }
        let error = answer(503, &[(RETRY_AFTER, "7")], &body).unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert!(matches!(error, ExchangeError::Unavailable(_)));
    }
}

#[test]
fn maskinportens_own_examples_word_for_word() {
    let expired = refused(
        400,
        r#"{"error":"invalid_grant","error_description":"Invalid assertion. Client authentication failed. Expired key. (trace_id: 356666143081bbec11d293753e9702ca)","error_uri":"https://maskinporten.no/errors/MP-121"}"#,
    );
    let expected = Refusal {
        status: 400,
        error: "invalid_grant".into(),
        description: "Invalid assertion. Client authentication failed. Expired key.".into(),
        code: Code::from_error_uri("MP-121"),
        trace_id: Some("356666143081bbec11d293753e9702ca".into()),
        error_uri: Some("https://maskinporten.no/errors/MP-121".into()),
    };
    assert_eq!(expired, expected);
    let scope = refused(
        400,
        r#"{"error":"invalid_scope","error_description":"Token request contains invalid scopes for client, altinn:serviceowners/read (trace_id: bd1d0e3bfb1c7a7bd99fd447714a316c)","error_uri":"https://test.maskinporten.no/errors/MP-200"}"#,
    );
    assert_eq!(scope.error, "invalid_scope");
    assert_eq!(scope.description, "Token request contains invalid scopes for client, altinn:serviceowners/read");
    assert_eq!(scope.trace_id.as_deref(), Some("bd1d0e3bfb1c7a7bd99fd447714a316c"));
    assert_eq!(scope.known().unwrap().code, Some("MP-200"));
}

#[test]
fn every_documented_code_is_refused_with_its_remedy_and_an_unknown_one_passes_through() {
    for code in crate::maskinporten::KnownError::all().filter_map(|known| known.code) {
        let body = format!(r#"{{"error":"invalid_grant","error_uri":"https://maskinporten.no/errors/{code}"}}"#);
        let refusal = refused(401, &body);
        let known = refusal.known().unwrap();
        assert_eq!((refusal.code.as_ref().map(Code::as_str), refusal.remedy()), (Some(code), known.remedy));
        assert_eq!(known.code, Some(code));
    }
    let unknown =
        refused(400, r#"{"error":"invalid_grant","error_description":"New.","error_uri":"https://maskinporten.no/errors/MP-999"}"#);
    assert_eq!((unknown.code.as_ref().map(Code::as_str), unknown.known()), (Some("MP-999"), None));
}

#[rstest]
#[case("Expired key. (trace_id: abc-123)", "Expired key.", Some("abc-123"))]
#[case("Expired key. (trace_id:abc) ", "Expired key.", Some("abc"))]
#[case("(trace_id: abc)", "", Some("abc"))]
#[case("Expired key. (trace_id: )", "Expired key. (trace_id: )", None)]
#[case("Expired key. (trace_id: not an id)", "Expired key. (trace_id: not an id)", None)]
#[case("Scope (a) unknown (b)", "Scope (a) unknown (b)", None)]
#[case("For 01017012345: \"no\"", "For [11 digits]: 'no'", None)]
#[case("", "", None)]
fn trace_ids(#[case] text: &str, #[case] description: &str, #[case] trace_id: Option<&str>) {
    let body = serde_json::json!({ "error": "invalid_grant", "error_description": text }).to_string();
    let refusal = refused(400, &body);
    assert_eq!((refusal.description.as_str(), refusal.trace_id.as_deref()), (description, trace_id));
    assert_eq!((refusal.code, refusal.error_uri), (None, None));
}

#[rstest]
#[case("120", None, Some(120))]
#[case(" 0 ", None, Some(0))]
#[case("99999999999999999999999", None, Some(3600))]
#[case("86400", None, Some(3600))]
#[case("Sun, 06 Nov 1994 08:49:47 GMT", None, Some(10))]
#[case("Sunday, 06-Nov-94 08:49:47 GMT", None, Some(10))]
#[case("Sun Nov  6 08:49:47 1994", None, Some(10))]
#[case("Sun, 06 Nov 1994 08:49:47 GMT", Some("Sun, 06 Nov 1994 08:49:27 GMT"), Some(20))]
#[case("Sun, 06 Nov 1994 08:49:30 GMT", None, Some(0))]
#[case("Mon, 07 Nov 1994 08:49:37 GMT", None, Some(3600))]
#[case("-5", None, None)]
#[case("1.5", None, None)]
#[case("later", None, None)]
#[case("", None, None)]
fn retry_after(#[case] value: &'static str, #[case] date: Option<&'static str>, #[case] seconds: Option<u64>) {
    let mut pairs = vec![(RETRY_AFTER, value)];
    pairs.extend(date.map(|date| (DATE, date)));
    for status in [408, 429, 500, 503, 403] {
        let error = answer(status, &pairs, &Body::Whole(b"")).unwrap_err();
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{status}");
    }
}

#[rstest]
#[case(408, "", None)]
#[case(429, r#"{"error":"slow_down","error_description":"Too many (trace_id: abc)"}"#, Some("slow_down: Too many"))]
#[case(500, r#"{"error":"server_error"}"#, Some("server_error"))]
#[case(502, "<html><title>502 Bad Gateway</title>", Some("502 Bad Gateway"))]
#[case(503, "down", None)]
#[case(599, TOKEN, None)]
fn what_is_unavailable_stays_so_whatever_its_body(#[case] status: u16, #[case] body: &str, #[case] said: Option<&str>) {
    let expected = Unavailable { status, said: said.map(Into::into), retry_after: None };
    assert_eq!(whole(status, body).unwrap_err(), ExchangeError::Unavailable(expected));
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(status in 100_u16..1000, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = answer(status, &[], &Body::Whole(&bytes));
    }

    #[test]
    fn any_json_gets_an_answer_that_can_be_passed_on(
        status in prop::sample::select(vec![200_u16, 302, 400, 401, 429, 503]),
        values in prop::collection::vec("(\"[ -~]{0,20}\"|-?[0-9]{1,25}|null|true|\\[\\]|\\{\\}|\\PC{0,10})", 7),
        end in 0_usize..400,
    ) {
        let names = ["access_token", "token_type", "expires_in", "scope", "error", "error_description", "error_uri"];
        let members: Vec<String> = names.iter().zip(&values).map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let json = format!("{{{}}}", members.join(","));
        let bytes = json.as_bytes();
        if let Err(error) = answer(status, &[], &Body::Whole(&bytes[..end.min(bytes.len())])) {
            let text = error.to_string();
            prop_assert_eq!(printable(&text, 2000), text);
        }
    }

    #[test]
    fn any_title_is_found_or_not(html in "(<title|<TITLE>|>|<|/title>|[æøåİ -~]|\\PC){0,30}") {
        let _ = title(html.as_bytes());
    }
}
