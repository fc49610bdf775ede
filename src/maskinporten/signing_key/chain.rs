//! The certificates that go into `x5c`.

use openssl::error::ErrorStack;
use openssl::x509::{X509, X509Ref, X509VerifyResult};

/// The leaf, then who issued it, and so on up, whatever the order of `others`; without the root, which Maskinporten
/// has itself. Ends where the file's certificates end. Each as base64 (not base64url) of its DER (RFC 7515 section 4.1.6).
pub(super) fn x5c(leaf: &X509, others: &[X509]) -> Result<Vec<String>, ErrorStack> {
    let mut left: Vec<&X509> = others.iter().filter(|other| !is_self_signed(other)).collect();
    let mut chain = vec![leaf];
    let mut last = leaf;
    while let Some(index) = left.iter().position(|candidate| candidate.as_ref() != last.as_ref() && is_issuer(candidate, last)) {
        last = left.swap_remove(index); // removed, so that certificates which name each other as issuer end
        chain.push(last);
    }
    chain.into_iter().map(|certificate| Ok(openssl::base64::encode_block(&certificate.to_der()?))).collect()
}

fn is_self_signed(certificate: &X509Ref) -> bool {
    certificate.issued(certificate) == X509VerifyResult::OK
}

/// By name and key identifier, then by the signature itself: two CAs can share a name.
fn is_issuer(candidate: &X509Ref, certificate: &X509Ref) -> bool {
    candidate.issued(certificate) == X509VerifyResult::OK
        && candidate.public_key().and_then(|key| certificate.verify(&key)).unwrap_or(false)
}
