//! A tunnel through a proxy: `CONNECT` ([RFC 9110 section 9.3.6](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6)).
//!
//! Ours, for hyper-util's keeps to itself with which status a proxy refuses.

use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::connection::Stream;
use super::route::{Route, bracketed};
use crate::maskinporten::error::UnreachableReason;
use crate::maskinporten::foreign_text::printable;

/// A proxy's head may have 8 KiB, as hyper-util has it.
const LARGEST_HEAD: usize = 8 * 1024;

/// Asks the proxy for a tunnel to the route's host, and reads its answer's head to the end and no further.
pub(super) async fn open(
    stream: &mut Box<dyn Stream>,
    route: &Route,
    authorization: Option<&HeaderValue>,
) -> Result<(), UnreachableReason> {
    let failed = |error: std::io::Error| UnreachableReason::Proxy(printable(&error.to_string(), 200));
    stream.write_all(&request(route, authorization)).await.map_err(failed)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LARGEST_HEAD {
            return Err(UnreachableReason::Proxy("the head of its answer does not end".to_owned()));
        }
        // Byte by byte: what follows belongs to TLS.
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(failed(error)),
        }
    }
    judge(&String::from_utf8_lossy(&head))
}

fn request(route: &Route, authorization: Option<&HeaderValue>) -> Zeroizing<Vec<u8>> {
    let target = format!("{}:{}", bracketed(&route.host), route.port);
    let agent = concat!("portvakt/", env!("CARGO_PKG_VERSION"));
    let plain = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {agent}\r\n");
    let name: &[u8] = b"Proxy-Authorization: ";
    let credentials = authorization.map_or(&[][..], HeaderValue::as_bytes);
    // Large enough from the beginning, so that no copy of the credentials is left behind.
    let mut request = Zeroizing::new(Vec::with_capacity(plain.len() + name.len() + credentials.len() + 4));
    request.extend_from_slice(plain.as_bytes());
    if authorization.is_some() {
        request.extend_from_slice(name);
        request.extend_from_slice(credentials);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

fn judge(head: &str) -> Result<(), UnreachableReason> {
    let line = head.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    match status {
        Some("200") => Ok(()),
        Some("407") => Err(UnreachableReason::ProxyAuthentication),
        Some(_) => Err(UnreachableReason::Proxy(format!("it answered {}", printable(line, 120)))),
        None if head.is_empty() => Err(UnreachableReason::Proxy("it closed the connection without an answer".to_owned())),
        None => Err(UnreachableReason::Proxy("its answer is not HTTP".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("HTTP/1.1 200 Connection established\r\n\r\n", Ok(()))]
    #[case("HTTP/1.0 200 OK\r\n\r\n", Ok(()))]
    #[case("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Err(UnreachableReason::ProxyAuthentication))]
    #[case("HTTP/1.1 403 Forbidden\r\n\r\n", Err(UnreachableReason::Proxy("it answered HTTP/1.1 403 Forbidden".to_owned())))]
    #[case("SSH-2.0-OpenSSH\r\n", Err(UnreachableReason::Proxy("its answer is not HTTP".to_owned())))]
    #[case("", Err(UnreachableReason::Proxy("it closed the connection without an answer".to_owned())))]
    fn a_proxys_answer(#[case] head: &str, #[case] expected: Result<(), UnreachableReason>) {
        assert_eq!(judge(head), expected);
    }
}
