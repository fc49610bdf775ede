//! API keys: how ours are made, and what is stored of any.

use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use openssl::sha::Sha256;
use zeroize::Zeroizing;

/// SHA-256 of an API key: all that is stored of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a key as a caller sends it.
    pub fn of(api_key: &[u8]) -> Self {
        let mut sha256 = Sha256::new();
        sha256.update(api_key);
        Self(sha256.finish())
    }

    /// All 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight bytes, as a number.
    pub(super) fn prefix(&self) -> u64 {
        self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// 64 hexadecimal digits, as the operator's file has it.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// What our own keys begin with, so that people and secret scanners know them.
const PREFIX: &str = "pv_";
/// 43 characters of 62 hold 256 bits.
const RANDOM_LENGTH: usize = 43;
/// CRC-32 in base62.
const CHECKSUM_LENGTH: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key of our making, to be shown once.
pub struct MadeKey {
    /// The key itself.
    pub key: Zeroizing<String>,
    /// What is stored of it.
    pub digest: Digest,
}

/// Makes a key: `pv_`, 43 characters of base62 (256 bits of OpenSSL's randomness), and a checksum of six.
///
/// # Errors
///
/// When OpenSSL has no randomness to give.
pub fn make_key() -> Result<MadeKey, ErrorStack> {
    let mut key = Zeroizing::new(String::with_capacity(PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH));
    key.push_str(PREFIX);
    let mut random = Zeroizing::new([0u8; 64]);
    while key.len() < PREFIX.len() + RANDOM_LENGTH {
        rand_bytes(&mut *random)?;
        // Of six bits, 62 and 63 are thrown away, so that every character is as likely as any other.
        let characters = random.iter().filter_map(|byte| BASE62.get(usize::from(byte & 0x3f)));
        let missing = PREFIX.len() + RANDOM_LENGTH - key.len();
        key.extend(characters.take(missing).map(|&character| char::from(character)));
    }
    let checksum = checksum(&key);
    key.push_str(&checksum);
    let digest = Digest::of(key.as_bytes());
    Ok(MadeKey { key, digest })
}

/// Whether a key looks like one of ours but was mistyped: its checksum does not fit. Any other string is a key as good as any.
pub fn has_wrong_checksum(api_key: &str) -> bool {
    if !api_key.starts_with(PREFIX) {
        return false;
    }
    let ours = PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH;
    match api_key.split_at_checked(PREFIX.len() + RANDOM_LENGTH) {
        Some((body, end)) => api_key.len() != ours || checksum(body) != end,
        None => true,
    }
}

/// CRC-32 (IEEE) of everything before it, in base62, most significant first.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62.get(rest % BASE62.len()).copied().unwrap_or(b'0');
        rest /= BASE62.len();
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_our_making_has_the_documented_shape() {
        let made = make_key().unwrap();
        assert_eq!(made.key.len(), 52);
        assert!(made.key.starts_with("pv_"));
        assert!(made.key.bytes().skip(3).all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(made.digest, Digest::of(made.key.as_bytes()));
        assert_ne!(*made.key, *make_key().unwrap().key);
    }

    #[test]
    fn every_mistyped_character_is_noticed() {
        let made = make_key().unwrap();
        assert!(!has_wrong_checksum(&made.key));
        for place in 3..made.key.len() {
            let mut mistyped = made.key.to_string().into_bytes();
            mistyped[place] = if mistyped[place] == b'x' { b'y' } else { b'x' };
            assert!(has_wrong_checksum(&String::from_utf8(mistyped).unwrap()), "at {place}");
        }
        assert!(has_wrong_checksum(&made.key[..51]));
        assert!(has_wrong_checksum("pv_"));
        assert!(!has_wrong_checksum("any other string"));
    }

    #[test]
    fn the_checksum_is_crc32_in_base62() {
        // CRC-32 of "123456789" is 0xCBF43926 = 3421780262.
        let digits = checksum("123456789");
        let number = digits.bytes().fold(0u64, |sum, digit| sum * 62 + BASE62.iter().position(|&known| known == digit).unwrap() as u64);
        assert_eq!(number, 0xCBF4_3926);
    }
}
