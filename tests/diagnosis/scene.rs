//! A failure, brought about.

use std::any::Any;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};
use portvakt::simulator::{Fault, FaultKind};
use tempfile::TempDir;

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
    fn new(mut configuration: Configuration, server: impl Any) -> Self {
        // By its full name, as check asks for it.
        configuration.caller = format!(
            "may = [\n  {{ integration = 'freg', scopes = ['{FREG_SCOPE}'] }},\n  {{ integration = 'krr', scopes = ['{KRR_SCOPE}'] }},\n]"
        );
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

/// Speaks TLS, with a certificate that it signed itself.
pub(crate) struct TlsServer {
    pub(crate) address: String,
    /// The certificate, as PEM.
    pub(crate) ca_file: PathBuf,
    _directory: TempDir,
}

impl TlsServer {
    /// `for_address`: whose the certificate is. `ended_ago`: whether its time is over.
    pub(crate) fn start(for_address: &str, ended_ago: bool) -> Self {
        let (key, certificate) = self_signed(for_address, ended_ago);
        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, certificate.to_pem().unwrap()).unwrap();
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
        Self { address, ca_file, _directory: directory }
    }
}

const DAY: i64 = 24 * 60 * 60;

fn self_signed(for_address: &str, ended_ago: bool) -> (PKey<Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "A Proxy That Breaks TLS Open").unwrap();
    let name = name.build();
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let days_from_now = |days: i64| Asn1Time::from_unix(now + days * DAY).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_not_before(&days_from_now(-9)).unwrap();
    certificate.set_not_after(&days_from_now(if ended_ago { -2 } else { 2 })).unwrap();
    certificate.set_pubkey(&key).unwrap();
    let names = SubjectAlternativeName::new().ip(for_address).build(&certificate.x509v3_context(None, None)).unwrap();
    certificate.append_extension(names).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (key, certificate.build())
}
