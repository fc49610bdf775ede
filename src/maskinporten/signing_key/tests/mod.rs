//! Every form that a key comes in, and every refusal, on the files of certs/.

mod choosing;
mod damaged;
mod good;
mod refused;

use std::time::{Duration, SystemTime};

use openssl::x509::X509;

use super::{KeyError, SigningKey};

fn file(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("certs").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn password() -> String {
    String::from_utf8(file("virksomhet.p12.password")).unwrap().trim_end_matches('\n').to_owned()
}

/// In 2026, when all that is not meant to be out of its validity is in it.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn pkcs12(name: &str) -> Result<SigningKey, KeyError> {
    SigningKey::from_pkcs12(&file(name), &password(), None, now())
}

fn certificate_pem(certificates: &str, key: &str) -> Result<SigningKey, KeyError> {
    SigningKey::from_certificate_pem(&file(certificates), &file(key), Some(&password()), now())
}

fn sha256(pem: &str) -> [u8; 32] {
    openssl::sha::sha256(&X509::from_pem(&file(pem)).unwrap().to_der().unwrap())
}
