//! What stands in front of the simulator, so that the network itself can fail: it keeps its port, and changes over while all runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_openssl::SslStream;

/// How connections fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the simulator.
    Open,
    /// Nobody listens.
    Refused,
    /// Taken, and reset as soon as something comes.
    Reset,
    /// Plain text is spoken where TLS should be.
    NotTls,
    /// TLS, with a certificate that nobody trusts.
    OtherCertificate,
}

/// The name that its certificate is for, beside 127.0.0.1.
pub(crate) const NAME: &str = "maskinporten.portvakt.test";

/// A TCP front, with TLS or without. Ends when it is dropped.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    way: watch::Sender<Way>,
    /// Whether there is a listener.
    listening: watch::Receiver<bool>,
    /// Bound to the port and never listening: nobody else is given it while there is no listener.
    _placeholder: TcpSocket,
}

/// A certificate of our own making.
pub(crate) struct Identity {
    acceptor: SslAcceptor,
    pub(crate) certificate: Vec<u8>,
}

impl Front {
    /// In front of this. `tls`: the right certificate and another one.
    pub(crate) fn start(to: SocketAddr, tls: Option<Arc<(Identity, Identity)>>) -> Self {
        let placeholder = bound(0);
        let address = placeholder.local_addr().unwrap();
        let (way, mut watched) = watch::channel(Way::Open);
        let (tell, listening) = watch::channel(true);
        let mut listener = Some(bound(address.port()).listen(1024).unwrap());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = watched.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let refuses = *watched.borrow_and_update() == Way::Refused;
                        if refuses {
                            listener = None;
                        } else if listener.is_none() {
                            listener = Some(bound(address.port()).listen(1024).unwrap());
                        }
                        tell.send_replace(!refuses);
                    }
                    connection = accept(listener.as_ref()) => {
                        let (tls, mut watched) = (tls.clone(), watched.clone());
                        let way = *watched.borrow_and_update();
                        tokio::spawn(async move {
                            tokio::select! {
                                _ = watched.changed() => {} // what was open under the old way ends with it
                                () = serve(connection, way, to, tls) => {}
                            }
                        });
                    }
                }
            }
        });
        Self { address, way, listening, _placeholder: placeholder }
    }

    /// From now on so. Connections that are open are cut.
    pub(crate) async fn set(&self, way: Way) {
        self.way.send_replace(way);
        let listens = way != Way::Refused;
        self.listening.clone().wait_for(|listening| *listening == listens).await.unwrap();
    }
}

fn bound(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, port).into()).unwrap();
    socket
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => loop {
            if let Ok((connection, _)) = listener.accept().await {
                return connection;
            }
        },
        None => std::future::pending().await,
    }
}

async fn serve(mut connection: TcpStream, way: Way, to: SocketAddr, tls: Option<Arc<(Identity, Identity)>>) {
    match (way, tls) {
        (Way::Refused, _) => {}
        (Way::Reset, _) => {
            let _ = connection.read_u8().await;
            let _ = rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO));
        }
        (Way::NotTls, _) => {
            let _ = connection.read_u8().await;
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
        (Way::Open, None) => forward(connection, to).await,
        (Way::Open, Some(tls)) => with_tls(connection, &tls.0, to).await,
        (Way::OtherCertificate, Some(tls)) => with_tls(connection, &tls.1, to).await,
        (Way::OtherCertificate, None) => panic!("a front without TLS has no certificate"),
    }
}

async fn with_tls(connection: TcpStream, identity: &Identity, to: SocketAddr) {
    let mut stream = SslStream::new(Ssl::new(identity.acceptor.context()).unwrap(), connection).unwrap();
    if std::pin::Pin::new(&mut stream).accept().await.is_ok() {
        forward(stream, to).await;
    }
}

async fn forward(mut connection: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr) {
    if let Ok(mut simulator) = TcpStream::connect(to).await {
        let _ = copy_bidirectional(&mut connection, &mut simulator).await;
    }
}

impl Identity {
    pub(crate) fn make() -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "A Front In A Test").unwrap();
        let name = name.build();
        let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let mut certificate = X509::builder().unwrap();
        certificate.set_version(2).unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_not_before(&Asn1Time::from_unix(now - 100_000).unwrap()).unwrap();
        certificate.set_not_after(&Asn1Time::from_unix(now + 100_000).unwrap()).unwrap();
        certificate.set_pubkey(&key).unwrap();
        let mut names = SubjectAlternativeName::new();
        let names = names.ip("127.0.0.1").dns(NAME).build(&certificate.x509v3_context(None, None)).unwrap();
        certificate.append_extension(names).unwrap();
        certificate.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = certificate.build();
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        Self { acceptor: acceptor.build(), certificate: certificate.to_pem().unwrap() }
    }
}
