use super::*;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::maskinporten::name_lookup::within;
use crate::maskinporten::{Found, ProxyCredentials, ProxySettings};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};
use reqwest::dns::{Name, Resolve, Resolving};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use uuid::Uuid;

const ASSERTION: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJzZWNyZXQifQ.c2lnbmF0dXJl";
const TOKEN: &str = r#"{"access_token":"opaque","token_type":"Bearer","expires_in":119,"scope":"a:read"}"#;

/// What a server does once it has read a request.
#[derive(Clone)]
enum Then {
    /// Writes these bytes and closes the connection.
    Write(Vec<u8>),
    /// Writes these bytes and keeps the connection for the next request.
    WriteAndKeep(Vec<u8>),
    /// Writes these bytes and nothing more, ever.
    WriteAndHang(Vec<u8>),
    /// Closes with an RST.
    Reset,
}

/// A server that knows nothing of HTTP but where a request ends.
struct RawServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl RawServer {
    async fn start(then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, then.clone(), Arc::clone(&requests)));
            }
        });
        server
    }

    fn environment(&self) -> Environment {
        let url = format!("http://{}/token", self.address);
        Environment::custom("raw", &url, &url).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn requests(&self) -> Vec<String> {
        self.requests.lock().await.clone()
    }
}

async fn serve(mut stream: TcpStream, then: Then, requests: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = read_request(&mut stream).await {
        requests.lock().await.push(request);
        match &then {
            Then::Write(bytes) => {
                let _ = stream.write_all(bytes).await;
                return;
            }
            Then::WriteAndKeep(bytes) => stream.write_all(bytes).await.unwrap(),
            Then::WriteAndHang(bytes) => {
                stream.write_all(bytes).await.unwrap();
                std::future::pending::<()>().await;
            }
            Then::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn grant() -> Grant {
    Grant::new(Zeroizing::new(ASSERTION.to_owned()), Uuid::new_v4())
}

fn with_length(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn client(settings: &OutboundSettings) -> TokenEndpointClient {
    TokenEndpointClient::new(settings).unwrap()
}

/// Far more than any of these exchanges needs, so that a timeout in a test is one that the test is about.
fn patient() -> OutboundSettings {
    OutboundSettings { connect_timeout: Duration::from_secs(20), attempt_timeout: Duration::from_secs(30), ..OutboundSettings::default() }
}

fn reason(result: Result<AccessToken, ExchangeError>) -> UnreachableReason {
    match result {
        Err(ExchangeError::Unreachable(unreachable)) => unreachable.reason,
        other => panic!("{other:?}"),
    }
}

/// What one exchange brings from a server that does this; the server must have seen exactly one request.
async fn once(then: Then) -> Result<AccessToken, ExchangeError> {
    let server = RawServer::start(then).await;
    let result = client(&patient()).exchange(&server.environment(), &grant()).await.result;
    assert_eq!((server.connections(), server.requests().await.len()), (1, 1));
    if let Err(error) = &result {
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("eyJ") && !printed.contains("opaque"), "{printed}");
    }
    result
}

async fn found(then: Then) -> Found {
    match once(then).await {
        Err(ExchangeError::NotOAuth(not_oauth)) => not_oauth.found,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_grant_becomes_a_token() {
    let server = RawServer::start(Then::Write(with_length("200 OK", "", TOKEN))).await;
    let token = client(&patient()).exchange(&server.environment(), &grant()).await.result.unwrap();
    assert_eq!(token.expose_secret(), b"opaque");
    assert_eq!(token.expires_in(), Some(Duration::from_secs(119)));

    let requests = server.requests().await;
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={ASSERTION}"));
    let mut lines: Vec<String> = head.lines().map(str::to_ascii_lowercase).collect();
    assert_eq!(lines.remove(0), "post /token http/1.1");
    lines.sort_unstable();
    let expected = [
        "accept: application/json".to_owned(),
        format!("content-length: {}", body.len()),
        "content-type: application/x-www-form-urlencoded".to_owned(),
        format!("host: {}", server.address),
        concat!("user-agent: portvakt/", env!("CARGO_PKG_VERSION")).to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_connection_is_kept_for_the_next_exchange() {
    let server = RawServer::start(Then::WriteAndKeep(with_length("200 OK", "", TOKEN))).await;
    let client = client(&patient());
    for _ in 0..3 {
        client.exchange(&server.environment(), &grant()).await.result.unwrap();
    }
    assert_eq!((server.connections(), server.requests().await.len()), (1, 3));
}

#[tokio::test]
async fn a_chunked_token_is_a_token() {
    let (first, second) = TOKEN.split_at(30);
    let chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    assert_eq!(once(Then::Write(chunks.into_bytes())).await.unwrap().expose_secret(), b"opaque");
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole() {
    let answer = format!("HTTP/1.1 200 OK\r\n\r\n{TOKEN}");
    assert_eq!(once(Then::Write(answer.into_bytes())).await.unwrap().expose_secret(), b"opaque");
}

#[rstest]
#[case(with_length("200 OK", "Content-Type: text/html\r\n", "<html><title>Log in</title></html>"), Found::Html { title: Some("Log in".into()) })]
#[case(with_length("200 OK", "", ""), Found::Empty)]
#[case(with_length("204 No Content", "", ""), Found::Empty)]
#[case(with_length("200 OK", "", "hello"), Found::NotJson)]
#[case(with_length("302 Found", "Location: https://login.example.no/x?y\r\n", ""), Found::Redirect { to: Some("https://login.example.no".into()) })]
#[case(with_length("307 Temporary Redirect", "Location: /token\r\n", ""), Found::Redirect { to: Some("another path of the same host".into()) })]
#[case(with_length("407 Proxy Authentication Required", "", ""), Found::Empty)]
#[case(format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{TOKEN}").into_bytes(), Found::Truncated)]
#[case(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{TOKEN}\r\n", TOKEN.len()).into_bytes(), Found::Truncated)]
#[case(format!("HTTP/1.1 200 OK\r\n\r\n{}", &TOKEN[..40]).into_bytes(), Found::Truncated)]
#[case(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n".to_vec(), Found::TooLarge)]
#[case([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 10 << 20]].concat(), Found::TooLarge)]
#[tokio::test]
async fn what_is_no_oauth_answer(#[case] answer: Vec<u8>, #[case] expected: Found) {
    assert_eq!(found(Then::Write(answer)).await, expected);
}

#[tokio::test]
async fn a_body_of_exactly_64_kib_is_read() {
    let padded = format!("{TOKEN}{}", " ".repeat(LARGEST_ANSWER - TOKEN.len()));
    assert!(once(Then::Write(with_length("200 OK", "", &padded))).await.is_ok());
    let unannounced = format!("HTTP/1.1 200 OK\r\n\r\n{padded} ");
    assert_eq!(found(Then::Write(unannounced.into_bytes())).await, Found::TooLarge);
}

#[rstest]
#[case("400 Bad Request", r#"{"error":"invalid_grant","error_description":"Invalid assertion. Client authentication failed. Expired key. (trace_id: 356666143081bbec11d293753e9702ca)","error_uri":"https://maskinporten.no/errors/MP-121"}"#, Some("MP-121"))]
#[case("401 Unauthorized", r#"{"error":"invalid_client","error_uri":"https://maskinporten.no/errors/MP-999"}"#, Some("MP-999"))]
#[case("400 Bad Request", r#"{"error":"invalid_grant","error_description":"Invalid assertion"}"#, None)]
#[tokio::test]
async fn a_refusal(#[case] status: &str, #[case] body: &str, #[case] code: Option<&str>) {
    let Err(ExchangeError::Refused(refusal)) = once(Then::Write(with_length(status, "", body))).await else { panic!() };
    assert_eq!(refusal.code.as_ref().map(super::super::Code::as_str), code);
}

#[rstest]
#[case("429 Too Many Requests", "Retry-After: 17\r\n", Some(17))]
#[case("503 Service Unavailable", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n", Some(60))]
#[case("500 Internal Server Error", "", None)]
#[tokio::test]
async fn an_outage(#[case] status: &str, #[case] headers: &str, #[case] retry_after: Option<u64>) {
    let error = once(Then::Write(with_length(status, headers, "<html><title>Sorry</title>"))).await.unwrap_err();
    assert_eq!(error.retry_after(), retry_after.map(Duration::from_secs));
    let ExchangeError::Unavailable(unavailable) = error else { panic!("{error:?}") };
    assert_eq!(unavailable.said.as_deref(), Some("Sorry"));
    assert!(status.starts_with(&unavailable.status.to_string()));
}

#[rstest]
#[case(Then::Reset)]
#[case(Then::Write(Vec::new()))]
#[case(Then::Write(b"HTTP/1.1 200".to_vec()))]
#[case(Then::Write(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()))]
#[tokio::test]
async fn no_http_answer(#[case] then: Then) {
    let reason = reason(once(then).await);
    assert!(matches!(reason, UnreachableReason::Interrupted(_)), "{reason:?}");
}

#[rstest]
#[case(Vec::new(), Stage::Answer)]
#[case(b"HTTP/1.1 200 OK\r\nContent-Len".to_vec(), Stage::Answer)]
#[case(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"access_token\":".to_vec(), Stage::Body)]
#[tokio::test]
async fn a_server_that_hangs(#[case] before: Vec<u8>, #[case] stage: Stage) {
    let server = RawServer::start(Then::WriteAndHang(before)).await;
    let after = Duration::from_millis(500);
    let settings = OutboundSettings { attempt_timeout: after, ..patient() };
    let result = client(&settings).exchange(&server.environment(), &grant()).await.result;
    assert_eq!(reason(result), UnreachableReason::TimedOut { stage, after });
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn a_server_that_takes_the_connection_but_speaks_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/token", listener.local_addr().unwrap());
    let environment = Environment::custom("raw", &url, &url).unwrap();
    let after = Duration::from_millis(500);
    let settings = OutboundSettings { connect_timeout: after, ..patient() };
    let result = client(&settings).exchange(&environment, &grant()).await.result;
    assert_eq!(reason(result), UnreachableReason::TimedOut { stage: Stage::Connecting, after });
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let environment = Environment::custom("raw", &url, &url).unwrap();
    let error = client(&patient()).exchange(&environment, &grant()).await.result.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "No answer from {url}: no connection could be made (Connection refused (os error 111)). Nobody listens there, or something on the way refuses the connection."
        )
    );
}

#[tokio::test]
async fn a_host_that_does_not_exist() {
    let url = "https://maskinporten.invalid/token";
    let environment = Environment::custom("raw", url, url).unwrap();
    let reason = reason(client(&patient()).exchange(&environment, &grant()).await.result);
    // Where a proxy is set for everybody, it is the one that looks the host up.
    let behind_a_proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(behind_a_proxy || matches!(reason, UnreachableReason::Dns(_)), "{reason:?}");
}

#[tokio::test]
async fn a_name_look_up_that_takes_too_long_is_told_from_a_connection_that_does() {
    let limit = Duration::from_millis(200);
    let server = SilentDnsServer { limit };
    let url = "https://maskinporten.invalid/token";
    let environment = Environment::custom("raw", url, url).unwrap();
    let proxy = Some(ProxySettings { url: "http://proxy.invalid:3128".into(), credentials: None });
    let outbound = Outbound::new(&OutboundSettings { proxy, ..patient() }).unwrap().with_name_lookup(server);
    let reason = reason(TokenEndpointClient { outbound }.exchange(&environment, &grant()).await.result);
    assert_eq!(reason, UnreachableReason::TimedOut { stage: Stage::NameLookup, after: limit });
}

/// What the system's look-up looks like when nobody answers.
struct SilentDnsServer {
    limit: Duration,
}

impl Resolve for SilentDnsServer {
    fn resolve(&self, _: Name) -> Resolving {
        let limit = self.limit;
        Box::pin(within(limit, std::future::pending::<std::io::Result<std::vec::IntoIter<SocketAddr>>>()))
    }
}

#[tokio::test]
async fn tls_to_a_port_that_speaks_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let environment = Environment::custom("raw", &url, &url).unwrap();
    let reason = reason(client(&patient()).exchange(&environment, &grant()).await.result);
    assert_eq!(reason, UnreachableReason::Tls("wrong version number".into()));
}

/// A proxy in front of an environment that is not on this machine. It never gets as far as the environment.
async fn through_proxy(answer: &[u8], credentials: Option<ProxyCredentials>) -> (UnreachableReason, Vec<String>) {
    let server = RawServer::start(Then::Write(answer.to_vec())).await;
    let proxy = Some(ProxySettings { url: format!("http://{}", server.address), credentials });
    let url = "https://maskinporten.invalid/token";
    let environment = Environment::custom("raw", url, url).unwrap();
    let client = client(&OutboundSettings { proxy, ..patient() });
    let reason = reason(client.exchange(&environment, &grant()).await.result);
    (reason, server.requests().await)
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_password() {
    let credentials = ProxyCredentials { user: "user".into(), password: "p%41ss".into() };
    let (reason, requests) =
        through_proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", Some(credentials)).await;
    assert_eq!(reason, UnreachableReason::ProxyAuthentication);
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("CONNECT maskinporten.invalid:443 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].to_ascii_lowercase().contains("\r\nproxy-authorization: basic dxnlcjpwjtqxc3m=\r\n"), "{}", requests[0]);
    assert!(!requests[0].contains("eyJ"), "the proxy must not see the grant");
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel() {
    let (reason, _) = through_proxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", None).await;
    assert_eq!(reason, UnreachableReason::Proxy("unsuccessful".into()));
}

#[tokio::test]
async fn loopback_never_goes_through_the_proxy() {
    let proxy = RawServer::start(Then::Reset).await;
    let server = RawServer::start(Then::Write(with_length("200 OK", "", TOKEN))).await;
    let settings =
        OutboundSettings { proxy: Some(ProxySettings { url: format!("http://{}", proxy.address), credentials: None }), ..patient() };
    client(&settings).exchange(&server.environment(), &grant()).await.result.unwrap();
    assert_eq!(proxy.connections(), 0);
}

/// A key and a certificate that it signed itself, for 127.0.0.1.
fn self_signed() -> (PKey<Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "a CA of the test's own").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    certificate.set_pubkey(&key).unwrap();
    let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&certificate.x509v3_context(None, None)).unwrap();
    certificate.append_extension(names).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (key, certificate.build())
}

/// Answers one connection with a token, over TLS.
fn start_tls_server(key: &PKey<Private>, certificate: &X509) -> Environment {
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(key).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    let acceptor = acceptor.build();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        if let Ok(mut stream) = acceptor.accept(stream) {
            let mut request = Vec::new();
            while !request.ends_with(b"c2lnbmF0dXJl") {
                let mut bytes = [0; 1024];
                let length = stream.read(&mut bytes).unwrap();
                request.extend_from_slice(&bytes[..length]);
            }
            stream.write_all(&with_length("200 OK", "", TOKEN)).unwrap();
        }
    });
    Environment::custom("tls", &url, &url).unwrap()
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts() {
    let (key, certificate) = self_signed();
    let environment = start_tls_server(&key, &certificate);
    let reason = reason(client(&patient()).exchange(&environment, &grant()).await.result);
    let UnreachableReason::Certificate(found) = reason else { panic!("{reason:?}") };
    assert!(found.contains("self-signed certificate"), "{found}");
}

#[tokio::test]
async fn a_certificate_that_the_settings_trust() {
    let (key, certificate) = self_signed();
    let environment = start_tls_server(&key, &certificate);
    let settings = OutboundSettings { ca_certificates: Some(certificate.to_pem().unwrap()), ..patient() };
    let token = client(&settings).exchange(&environment, &grant()).await.result.unwrap();
    assert_eq!(token.expose_secret(), b"opaque");
}

/// What an answer tells of the clock, where it has this status, body and `Date`.
async fn clock(status: &str, date: Option<&str>, body: &str) -> Option<ClockDifference> {
    let date = date.map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
    let server = RawServer::start(Then::Write(with_length(status, &date, body))).await;
    client(&patient()).exchange(&server.environment(), &grant()).await.clock
}

const REFUSAL: &str = r#"{"error":"invalid_grant","error_description":"Issue time is after now"}"#;

#[rstest]
#[case("200 OK", TOKEN, true)]
#[case("400 Bad Request", REFUSAL, true)]
#[case("200 OK", "<html><title>Log in</title></html>", false)]
#[case("403 Forbidden", "<html><title>Blocked</title></html>", false)]
#[case("400 Bad Request", r#"{"fault":"a gateway's own"}"#, false)]
#[case("200 OK", r#"{"access_token":"opaque","token_type":"MAC"}"#, false)]
#[case("302 Found", "", false)]
#[case("429 Too Many Requests", REFUSAL, false)]
#[case("503 Service Unavailable", "<html><title>Sorry</title></html>", false)]
#[tokio::test]
async fn only_maskinportens_own_answers_tell_of_its_clock(#[case] status: &str, #[case] body: &str, #[case] own: bool) {
    let in_a_minute = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(60));
    let found = clock(status, Some(&in_a_minute), body).await;
    assert_eq!(found.is_some(), own, "{found:?}");
    // Behind, by a minute: a second and a half for the date's whole second and a slow machine.
    let behind = |found: ClockDifference| !found.is_ahead() && found.apart(ClockDifference::from_millis(-60_000)).as_millis() < 1_500;
    assert!(found.is_none_or(behind), "{found:?}");
    for date in [None, Some("now"), Some("\u{f8}")] {
        assert_eq!(clock(status, date, body).await, None);
    }
}
