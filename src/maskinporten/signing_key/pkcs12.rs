//! PKCS#12 files: all certificates and all private keys in one.
//!
//! OpenSSL's `PKCS12_parse` gives all certificates but one key. The other keys are found by reading the structure
//! (RFC 7292 section 4), which is not encrypted down to the bags that are, and OpenSSL opens them one by one. Key bags
//! inside of encrypted content, where none of the usual programs puts them, are only found by `PKCS12_parse`: the first one.

use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode, EncodingRules, Header, Reader, SliceReader, Tag, TagNumber};
use openssl::error::ErrorStack;
use openssl::pkcs12::{ParsedPkcs12_2, Pkcs12};
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use super::error::{KeyError, odd_about, reasons};
use super::file_kind::{Expected, FileKind};
use super::legacy::with_legacy_if_needed;

/// What a PKCS#12 file holds.
pub(super) struct Contents {
    pub(super) keys: Vec<PKey<Private>>,
    pub(super) certificates: Vec<X509>,
}

/// Opens a PKCS#12 file.
pub(super) fn open(bytes: &[u8], password: &str) -> Result<Contents, KeyError> {
    let Ok(pkcs12) = Pkcs12::from_der(bytes) else {
        return Err(KeyError::OtherFile { expected: Expected::Pkcs12, found: FileKind::of(bytes) });
    };
    let wrong_password = || KeyError::WrongPassword { note: odd_about(password) };
    if password.contains('\0') {
        return Err(wrong_password()); // no password has one, and the bindings end the program at it
    }
    // For an empty password, PKCS12_parse tries both of its meanings, "" and none.
    let parsed = match with_legacy_if_needed(|| pkcs12.parse2(password))? {
        Ok(parsed) => parsed,
        Err(error) if has_reason(&error, &["mac absent"]) => return Err(KeyError::MacMissing),
        Err(error) if has_reason(&error, &WRONG_PASSWORD) => return Err(wrong_password()),
        Err(error) => return Err(KeyError::Unreadable { expected: Expected::Pkcs12, reason: reasons(&error) }),
    };
    // OpenSSL's own encoding of it has no oddities of BER outside of what the MAC covers. If what is in there cannot be
    // read here though OpenSSL could, its one key has to do.
    let bags = key_bags(&pkcs12.to_der()?).unwrap_or_default();
    let opened = bags.iter().filter_map(|bag| bag.open(password).ok()).collect::<Vec<_>>();
    let contents = all(parsed, opened);
    if contents.keys.is_empty() && !bags.is_empty() { Err(KeyError::KeyStaysLocked) } else { Ok(contents) }
}

/// OpenSSL's reasons. Without a MAC, a wrong password shows when something is decrypted.
const WRONG_PASSWORD: [&str; 4] = ["mac verify failure", "bad decrypt", "pkcs12 cipherfinal error", "wrong final block length"];

fn has_reason(error: &ErrorStack, reasons: &[&str]) -> bool {
    error.errors().iter().filter_map(openssl::error::Error::reason).any(|reason| reasons.contains(&reason))
}

fn all(parsed: ParsedPkcs12_2, opened: Vec<PKey<Private>>) -> Contents {
    let mut keys: Vec<PKey<Private>> = Vec::new();
    for key in parsed.pkey.into_iter().chain(opened) {
        if !keys.iter().any(|known| known.public_eq(&key)) {
            keys.push(key);
        }
    }
    let mut certificates: Vec<X509> = parsed.cert.into_iter().collect();
    certificates.extend(parsed.ca.into_iter().flatten());
    Contents { keys, certificates }
}

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const SAFE_CONTENTS_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.6");

/// SafeContents within SafeContents within …: no program makes more than one level.
const MAX_DEPTH: u8 = 4;

/// A private key as it lies in the file (RFC 7292 sections 4.2.1 and 4.2.2).
enum KeyBag {
    /// PrivateKeyInfo.
    Plain(zeroize::Zeroizing<Vec<u8>>),
    /// EncryptedPrivateKeyInfo.
    Shrouded(Vec<u8>),
}

impl KeyBag {
    fn open(&self, password: &str) -> Result<PKey<Private>, KeyError> {
        let opened = match self {
            Self::Plain(info) => PKey::private_key_from_pkcs8(info),
            Self::Shrouded(info) => with_legacy_if_needed(|| PKey::private_key_from_pkcs8_passphrase(info, password.as_bytes()))?,
        };
        Ok(opened?)
    }
}

fn key_bags(pfx: &[u8]) -> der::Result<Vec<KeyBag>> {
    let mut pfx = inside(pfx, Tag::Sequence)?;
    next(&mut pfx)?; // the version
    let mut bags = Vec::new();
    if let Some(authenticated_safe) = data(next(&mut pfx)?)? {
        for content_info in children(authenticated_safe.as_bytes())? {
            if let Some(safe_contents) = data(content_info)? {
                collect(safe_contents.as_bytes(), MAX_DEPTH, &mut bags)?;
            }
        }
    }
    Ok(bags)
}

/// The octets of a ContentInfo, when they are not encrypted.
fn data(content_info: &[u8]) -> der::Result<Option<OctetString>> {
    let mut content_info = inside(content_info, Tag::Sequence)?;
    if ObjectIdentifier::decode(&mut content_info)? != DATA {
        return Ok(None);
    }
    OctetString::decode(&mut explicit(next(&mut content_info)?)?).map(Some)
}

fn collect(safe_contents: &[u8], depth: u8, bags: &mut Vec<KeyBag>) -> der::Result<()> {
    for bag in children(safe_contents)? {
        let mut bag = inside(bag, Tag::Sequence)?;
        let kind = ObjectIdentifier::decode(&mut bag)?;
        let mut value = explicit(next(&mut bag)?)?;
        match kind {
            KEY_BAG => bags.push(KeyBag::Plain(next(&mut value)?.to_vec().into())),
            SHROUDED_KEY_BAG => bags.push(KeyBag::Shrouded(next(&mut value)?.to_vec())),
            SAFE_CONTENTS_BAG if depth > 0 => collect(next(&mut value)?, depth - 1, bags)?,
            _ => {}
        }
    }
    Ok(())
}

/// A reader at the beginning of the content of a value. BER, of which DER is a part, for RFC 7292 section 4.1 asks for no
/// more, and some programs write indefinite lengths.
fn inside(value: &[u8], tag: Tag) -> der::Result<SliceReader<'_>> {
    let mut reader = SliceReader::new_with_encoding_rules(value, EncodingRules::Ber)?;
    Header::decode(&mut reader)?.tag().assert_eq(tag)?;
    Ok(reader)
}

/// A reader at the value that an explicit `[0]` wraps.
fn explicit(value: &[u8]) -> der::Result<SliceReader<'_>> {
    inside(value, Tag::ContextSpecific { constructed: true, number: TagNumber(0) })
}

/// The next value with its header. (`Reader::tlv_bytes` takes the header of an indefinite length for longer than it is.)
fn next<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    let mut from_header = reader.clone();
    let content = Header::decode(reader)?.length();
    reader.read_slice(content)?;
    from_header.read_slice((reader.position() - from_header.position())?)
}

/// The values in a sequence, up to its end or its end-of-contents octets.
fn children(sequence: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut reader = inside(sequence, Tag::Sequence)?;
    let mut children = Vec::new();
    while reader.peek_byte().is_some_and(|byte| byte != 0) {
        children.push(next(&mut reader)?);
    }
    Ok(children)
}
