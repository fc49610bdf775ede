//! A failure, brought about.

use std::any::Any;
use std::io::{Read, Write};
use std::net::TcpListener;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::{X509, X509Name};
use portvakt::simulator::{Fault, FaultKind};

use crate::support::*;

/// What stands ready for a request that will fail.
pub(crate) struct Scene {
    pub(crate) configuration: Configuration,
    /// The integration, by its name and by its client ID, and what it is asked for.
    pub(crate) integration: &'static str,
    pub(crate) client_id: &'static str,
    pub(crate) scope: &'static str,
    /// What has to live as long.
    _server: Box<dyn Any>,
}

impl Scene {
    fn new(configuration: Configuration, server: impl Any) -> Self {
        Self { configuration, integration: "freg", client_id: FREG, scope: FREG_SCOPE, _server: Box::new(server) }
    }

    /// The simulator, with a fault.
    pub(crate) fn with_fault(fault: impl Into<Fault>) -> Self {
        let simulator = simulator();
        simulator.fault(fault).unwrap();
        Self::new(configuration(&simulator), simulator)
    }

    /// The simulator, refusing: by a code, or by the name of an error without one.
    pub(crate) fn refusal(name: &str) -> Self {
        Self::with_fault(FaultKind::Error { code: name.to_owned() })
    }

    /// Asks for the integration that has a certificate.
    pub(crate) fn with_certificate(self) -> Self {
        Self { integration: "krr", client_id: KRR, scope: KRR_SCOPE, ..self }
    }

    /// Maskinporten at another URL, without a path.
    pub(crate) fn at(url: &str, server: impl Any) -> Self {
        let configuration = Configuration { issuer: format!("{url}/"), token_endpoint: format!("{url}/token"), ..Configuration::default() };
        Self::new(configuration, server)
    }

    /// Lines of `[outbound]`.
    pub(crate) fn outbound(mut self, lines: &str) -> Self {
        self.configuration.sections = format!("[outbound]\n{lines}");
        self
    }
}

/// A port at which nobody listens.
pub(crate) fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Takes connections, as every listener's queue does, and does nothing with them.
pub(crate) fn silent_server() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap().to_string(), listener)
}

/// Reads the head of each request, writes this, and closes. Ends with the test's process.
pub(crate) fn server_that_answers(answer: &'static str) -> String {
    let (address, listener) = silent_server();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|count| count > 0) {
                head.extend_from_slice(&byte);
            }
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    address
}

/// Speaks TLS with a certificate that nobody trusts.
pub(crate) fn tls_server_of_a_stranger() -> String {
    let (key, certificate) = self_signed("A Proxy That Breaks TLS Open");
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    let acceptor = acceptor.build();
    let (address, listener) = silent_server();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let _ = acceptor.accept(connection);
        }
    });
    address
}

fn self_signed(common_name: &str) -> (PKey<Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", common_name).unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (key, certificate.build())
}
