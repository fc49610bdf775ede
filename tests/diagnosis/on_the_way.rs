//! What fails on the way to Maskinporten, or because somebody else answers in its place.

use std::collections::BTreeMap;

use portvakt::maskinporten::Cause;
use portvakt::simulator::{FaultKind, Stage};
use rstest::rstest;

use crate::columns::Expected;
use crate::scene::{Scene, TlsServer, closed_port, server_that_answers, silent_server};
use crate::support::simulator;

async fn is_named(scene: Scene, cause: Cause, facts: &'static [&'static str]) {
    scene.is_named(&Expected { cause, refused: false, facts }).await;
}

const IN_A_HURRY: &str = "connect_timeout = \"300ms\"\nattempt_timeout = \"600ms\"";

fn status(status: u16, header: Option<(&str, &str)>, body: &str) -> FaultKind {
    let headers: BTreeMap<_, _> = header.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    FaultKind::Status { status, headers, body: body.to_owned() }
}

#[rstest]
#[case::too_many_requests(status(429, Some(("Retry-After", "70")), ""), Cause::TooManyRequests, &["status 429"])]
#[case::outage(status(503, None, ""), Cause::Outage, &["status 503"])]
#[case::gateway_page(FaultKind::Html { status: 502 }, Cause::Outage, &["status 502 (Bad gateway)"])]
#[case::captive_redirect(status(302, Some(("Location", "https://login.example.no/?next=secret")), ""), Cause::Redirect, &["it redirects to https://login.example.no."])]
#[case::captive_page(status(200, None, "<html><title>Logg inn</title>"), Cause::Page, &["the title 'Logg inn'"])]
#[case::page_of_a_filter(status(403, None, "<html><title>Blocked</title>"), Cause::Page, &["status 403", "the title 'Blocked'"])]
#[case::empty(FaultKind::Empty { status: 200 }, Cause::NotOAuth, &["it has no body"])]
#[case::not_json(status(200, None, "OK"), Cause::NotOAuth, &["it is not JSON"])]
#[case::other_json(status(404, None, "{}"), Cause::NotOAuth, &["has no error"])]
#[case::oversized(FaultKind::Oversized { bytes: 100_000 }, Cause::NotOAuth, &["larger than 64 KiB"])]
#[case::truncated(FaultKind::Truncated {}, Cause::Truncated, &["ends in the middle"])]
#[case::reset(FaultKind::Reset { at: Stage::BeforeHeaders }, Cause::Interrupted, &["the connection ended"])]
#[case::token_type(FaultKind::TokenType { value: "MAC".to_owned() }, Cause::OddToken, &["token_type is MAC"])]
#[case::lifetime(FaultKind::ExpiresIn { value: 0.into() }, Cause::OddToken, &["expires_in is 0"])]
#[tokio::test]
async fn an_answer_that_is_none(#[case] fault: FaultKind, #[case] cause: Cause, #[case] facts: &'static [&'static str]) {
    is_named(Scene::with_fault(fault), cause, facts).await;
}

#[rstest]
#[case::before_the_head(Stage::BeforeHeaders, &["waiting for the answer took longer than 600 ms"])]
#[case::in_the_body(Stage::InBody, &["reading the answer's body took longer than 600 ms"])]
#[tokio::test]
async fn an_answer_that_hangs(#[case] at: Stage, #[case] facts: &'static [&'static str]) {
    is_named(Scene::with_fault(FaultKind::Hang { at }).outbound(IN_A_HURRY), Cause::AnswerTimedOut, facts).await;
}

#[tokio::test]
async fn a_port_that_is_closed() {
    let scene = Scene::at(&format!("http://{}", closed_port()), ());
    is_named(scene, Cause::ConnectionToThisMachine, &["no connection could be made (Connection refused"]).await;
}

#[tokio::test]
async fn a_name_that_has_no_address() {
    // No label of a name is that long, so that no DNS server is asked.
    let scene = Scene::at(&format!("https://{}.invalid", "m".repeat(64)), ());
    is_named(scene, Cause::NameLookup, &["the host name could not be resolved"]).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes() {
    let (address, listener) = silent_server();
    let scene = Scene::at(&format!("https://{address}"), listener).outbound(IN_A_HURRY);
    is_named(scene, Cause::ConnectionTimedOut, &["connecting took longer than 300 ms"]).await;
}

#[tokio::test]
async fn tls_where_nobody_speaks_it() {
    let simulator = simulator();
    let scene = Scene::at(&format!("https://{}", simulator.address()), simulator);
    is_named(scene, Cause::Tls, &["the TLS handshake failed (wrong version number)"]).await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_ca() {
    let server = TlsServer::start("127.0.0.1", false);
    let scene = Scene::at(&format!("https://{}", server.address), server);
    is_named(scene, Cause::UnknownCa, &["self-signed certificate", "outbound.ca_file", "certificate of CN=A Proxy That Breaks TLS Open"])
        .await;
}

#[rstest]
#[case::another_hosts("127.0.0.2", false, Cause::CertificateOfAnotherHost, &["IP address mismatch", "certificate of CN=A Proxy That Breaks TLS Open"])]
#[case::expired("127.0.0.1", true, Cause::ServerCertificateNotValid, &["certificate has expired", "certificate of CN=A Proxy That Breaks TLS Open"])]
#[tokio::test]
async fn a_certificate_of_a_known_ca_that_is(
    #[case] for_address: &str,
    #[case] ended_ago: bool,
    #[case] cause: Cause,
    #[case] facts: &'static [&'static str],
) {
    let server = TlsServer::start(for_address, ended_ago);
    let trusted = format!("ca_file = '{}'", server.ca_file.display());
    is_named(Scene::at(&format!("https://{}", server.address), server).outbound(&trusted), cause, facts).await;
}

#[rstest]
#[case::wants_a_password("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", Cause::ProxyAuthentication, &["(407)"])]
#[case::refuses("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Cause::Proxy, &["the proxy opened no tunnel"])]
#[case::is_none("SSH-2.0-OpenSSH_9.2\r\n", Cause::Proxy, &["the proxy opened no tunnel"])]
#[tokio::test]
async fn a_proxy_that(#[case] answer: &'static str, #[case] cause: Cause, #[case] facts: &'static [&'static str]) {
    let proxy = format!("proxy = \"http://{}\"", server_that_answers(answer));
    is_named(Scene::at("https://maskinporten.invalid", ()).outbound(&proxy), cause, facts).await;
}

#[tokio::test]
async fn a_proxy_that_is_down() {
    let proxy = format!("proxy = \"http://{}\"", closed_port());
    let scene = Scene::at("https://maskinporten.invalid", ()).outbound(&proxy);
    is_named(scene, Cause::ProxyConnection, &["no connection to the proxy could be made (Connection refused"]).await;
}

#[tokio::test]
async fn a_proxy_whose_name_has_no_address() {
    let proxy = format!("proxy = \"http://{}.invalid:3128\"", "p".repeat(64));
    let scene = Scene::at("https://maskinporten.invalid", ()).outbound(&proxy);
    is_named(scene, Cause::NameLookup, &["the host name could not be resolved"]).await;
}
