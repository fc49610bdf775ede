//! Servers that are no Maskinporten: on threads that end with the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};

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
            SubjectAlternativeName::new().dns("localhost").ip("127.0.0.1").build(&builder.x509v3_context(Some(issuer), None)).unwrap()
        }
    };
    builder.append_extension(extension).unwrap();
    builder.sign(issuer.map_or(&key, |(key, _)| key), MessageDigest::sha256()).unwrap();
    (key, builder.build())
}
