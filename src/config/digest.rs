//! SHA-256: of API keys, and as the file writes it.

use openssl::sha::sha256;

/// 64 hex digits, in either case.
pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

/// What is kept of an API key.
pub(super) fn of(key: &[u8]) -> [u8; 32] {
    sha256(key)
}
