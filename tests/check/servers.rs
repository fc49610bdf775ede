//! Servers that are no Maskinporten: on threads that end with the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio_openssl::SslStream;

/// Answers every connection with these bytes, once it has sent something, and closes it.
pub(crate) fn answering(bytes: &'static [u8]) -> SocketAddr {
    serve(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
    })
}

/// An address where nobody listens.
pub(crate) fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// TLS with a certificate for localhost and 127.0.0.1, of a CA of its own, before these HTTP bytes. With the CA's certificate, in PEM.
pub(crate) fn tls(bytes: &'static [u8]) -> (SocketAddr, Vec<u8>) {
    let (ca_key, ca) = certificate(&[("CN", "Somebody's Proxy CA")], 2, None);
    let (key, leaf) = certificate(&[("CN", "localhost")], 2, Some((&ca_key, &ca)));
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&leaf).unwrap();
    acceptor.add_extra_chain_cert(ca.clone()).unwrap();
    let acceptor = Arc::new(acceptor.build());
    let address = serve(move |stream| {
        let Ok(mut stream) = acceptor.accept(stream) else { return };
        if stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown();
        }
    });
    (address, ca.to_pem().unwrap())
}

fn serve(connection: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connection = Arc::new(connection);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = Arc::clone(&connection);
            std::thread::spawn(move || connection(stream));
        }
    });
    address
}

/// A certificate, valid from now on: a CA's own, or one for localhost that it has issued.
pub(crate) fn certificate(subject: &[(&str, &str)], days: u32, issuer: Option<(&PKey<Private>, &X509)>) -> (PKey<Private>, X509) {
    certificate_for("localhost", subject, days, issuer)
}

fn certificate_for(host: &str, subject: &[(&str, &str)], days: u32, issuer: Option<(&PKey<Private>, &X509)>) -> (PKey<Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    for (field, value) in subject {
        name.append_entry_by_text(field, value).unwrap();
    }
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(issuer.map_or(1, |_| 2)).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(issuer.map_or(&*name, |(_, issuer)| issuer.subject_name())).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(days).unwrap()).unwrap();
    let extension = match issuer {
        None => BasicConstraints::new().critical().ca().build().unwrap(),
        Some((_, issuer)) => {
            SubjectAlternativeName::new().dns(host).ip("127.0.0.1").build(&builder.x509v3_context(Some(issuer), None)).unwrap()
        }
    };
    builder.append_extension(extension).unwrap();
    builder.sign(issuer.map_or(&key, |(key, _)| key), MessageDigest::sha256()).unwrap();
    (key, builder.build())
}

/// TLS for this host in front of another server, to which all that comes through it is passed on. With the CA's certificate, in PEM.
pub(crate) fn tls_in_front_of(target: SocketAddr, host: &str) -> (SocketAddr, Vec<u8>) {
    let (ca_key, ca) = certificate(&[("CN", "An Organisation's CA")], 2, None);
    let (key, leaf) = certificate_for(host, &[("CN", host), ("O", "\u{202e}gnihtemos esle\u{2028}failed")], 2, Some((&ca_key, &ca)));
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&leaf).unwrap();
    let acceptor = Arc::new(acceptor.build());
    let address = serve_tokio(move |stream| {
        let acceptor = Arc::clone(&acceptor);
        async move {
            let mut tls = SslStream::new(Ssl::new(acceptor.context()).unwrap(), stream).unwrap();
            if Pin::new(&mut tls).accept().await.is_ok() {
                let mut behind = tokio::net::TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut tls, &mut behind).await;
            }
        }
    });
    (address, ca.to_pem().unwrap())
}

/// A proxy that lets through whoever has this in `Proxy-Authorization`, to the target, whatever was asked for.
pub(crate) fn proxy_to(target: SocketAddr, authorization: &'static str) -> SocketAddr {
    serve_tokio(move |mut stream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("CONNECT maskinporten.invalid:443 HTTP/1.1\r\n"), "{head}");
        if !head.to_ascii_lowercase().contains(&format!("proxy-authorization: {}\r\n", authorization.to_ascii_lowercase())) {
            let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await;
            return;
        }
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let mut behind = tokio::net::TcpStream::connect(target).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut behind).await;
    })
}

fn serve_tokio<F: Future<Output = ()> + Send + 'static>(connection: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream));
            }
        });
    });
    address
}
