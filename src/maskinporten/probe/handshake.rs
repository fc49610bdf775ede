//! TLS with OpenSSL itself, so that the certificates which a server presents can be seen also when they are not trusted.

use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslRef, SslVerifyMode, SslVersion};
use openssl::x509::X509VerifyResult;
use tokio_openssl::SslStream;

use super::Probe;
use super::connection::{Connection, Stream};
use super::route::Route;
use crate::maskinporten::certificate::Certificate;
use crate::maskinporten::error::UnreachableReason;
use crate::maskinporten::foreign_text::printable;
use crate::maskinporten::outbound::openssl_reason;

/// A TLS handshake that came to its end.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// `TLSv1.3`
    pub protocol: &'static str,
    /// As the server presented them: its own first.
    pub certificates: Vec<Certificate>,
    /// Why the server's certificate is not trusted for this host; `None` when it is.
    pub untrusted: Option<Untrusted>,
}

/// What OpenSSL's verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    /// OpenSSL's words: `self-signed certificate in certificate chain`.
    pub found: String,
}

impl Handshake {
    /// The server's own certificate.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificates.first()
    }

    /// Who issued the last certificate that the server presented: the CA that would have to be trusted.
    pub fn root(&self) -> Option<&str> {
        self.certificates.last().map(Certificate::issuer)
    }
}

impl Probe {
    /// A TLS handshake with the token endpoint's host, and no more: the connection is closed after it. Ends well also when the server's
    /// certificate is not trusted: see [`Handshake::untrusted`].
    ///
    /// # Errors
    ///
    /// [`UnreachableReason::Tls`] when there is no handshake, or [`UnreachableReason::TimedOut`].
    pub async fn handshake(&self, route: &Route, connection: Connection) -> Result<Handshake, UnreachableReason> {
        let Connection { stream, .. } = connection;
        self.in_time(async {
            let stream = self.shake_hands(&route.host, stream).await?;
            Ok(read(stream.ssl()))
        })
        .await
    }

    /// TLS that bytes may be sent through.
    pub(super) async fn trusted(&self, host: &str, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, UnreachableReason> {
        let stream = self.shake_hands(host, stream).await?;
        match read(stream.ssl()).untrusted {
            Some(Untrusted { found }) => Err(UnreachableReason::Certificate(found)),
            None => Ok(Box::new(stream)),
        }
    }

    async fn shake_hands(&self, host: &str, stream: Box<dyn Stream>) -> Result<SslStream<Box<dyn Stream>>, UnreachableReason> {
        let set_up = |error: ErrorStack| UnreachableReason::Tls(printable(&openssl_reason(&error), 200));
        let mut stream = SslStream::new(self.ssl(host).map_err(set_up)?, stream).map_err(set_up)?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(stream),
            Err(error) => Err(UnreachableReason::Tls(explain(&error))),
        }
    }

    /// With the trust that the HTTP client has (native-tls's: the system's certificates as `openssl-probe` finds them, and the settings'
    /// own), but told of what is found instead of ending the handshake.
    fn ssl(&self, host: &str) -> Result<Ssl, ErrorStack> {
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        let system = openssl_probe::probe();
        // Each by itself, and failures passed over: as native-tls does.
        if let Some(file) = &system.cert_file {
            let _ = connector.load_verify_locations(Some(file), None);
        }
        for directory in &system.cert_dir {
            let _ = connector.load_verify_locations(None, Some(directory));
        }
        connector.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        for certificate in &self.ca_certificates {
            let _ = connector.cert_store_mut().add_cert(certificate.clone());
        }
        let mut configuration = connector.build().configure()?;
        configuration.set_verify(SslVerifyMode::NONE);
        configuration.into_ssl(host)
    }
}

fn read(ssl: &SslRef) -> Handshake {
    let verification = ssl.verify_result();
    let found = || printable(verification.error_string(), 200);
    Handshake {
        protocol: ssl.version_str(),
        certificates: ssl
            .peer_cert_chain()
            .map(|chain| chain.iter().filter_map(|certificate| Certificate::read(certificate).ok()).collect())
            .unwrap_or_default(),
        untrusted: (verification != X509VerifyResult::OK).then(|| Untrusted { found: found() }),
    }
}

fn explain(error: &openssl::ssl::Error) -> String {
    let reason = match (error.ssl_error(), error.io_error()) {
        (Some(stack), _) => openssl_reason(stack),
        (None, Some(io)) => io.to_string(),
        (None, None) => "the other side closed the connection".to_owned(),
    };
    printable(&reason, 200)
}
