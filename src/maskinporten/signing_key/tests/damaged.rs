//! Files that nobody made: nothing makes a parser panic, and what is damaged is not taken for whole.

use proptest::prelude::*;

use super::*;

/// All four readers, on the same bytes.
fn read_as_all(bytes: &[u8]) {
    let password = password();
    let _ = SigningKey::from_pkcs12(bytes, &password, None, now());
    let _ = SigningKey::from_pkcs12(bytes, "", Some([7; 32]), now());
    let _ = SigningKey::from_certificate_pem(bytes, bytes, Some(&password), now());
    let _ = SigningKey::from_pem(bytes, None, "kid");
    let _ = SigningKey::from_pem(bytes, Some(&password), "kid");
    let _ = SigningKey::from_jwk(bytes);
    let _ = crate::maskinporten::Certificate::from_der(bytes);
}

const FILES: [&str; 9] = [
    "virksomhet.p12",
    "pairs-legacy.p12",
    "no-encryption.p12",
    "no-mac.p12",
    "virksomhet-scrambled.pem",
    "virksomhet-with-key.pem",
    "virksomhet-encrypted-pkcs1.key",
    "registered-2048.encrypted.pem",
    "registered-2048.private.jwk",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_as_all(&bytes);
    }

    #[test]
    fn arbitrary_text(text in "(-----(BEGIN|END) (RSA |ENCRYPTED |EC )?(PRIVATE|PUBLIC) KEY-----|CERTIFICATE|MII[A-Za-z+/]{0,40}=?|Proc-Type: 4,ENCRYPTED|\\{\"[kdn]\":|\n|\\PC){0,12}") {
        read_as_all(text.as_bytes());
    }

    #[test]
    fn a_good_file_with_some_bytes_changed(
        name in prop::sample::select(&FILES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = file(name);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        read_as_all(&bytes);
    }

    #[test]
    fn a_good_file_cut_short(name in prop::sample::select(&FILES[..]), at in any::<prop::sample::Index>()) {
        let mut bytes = file(name);
        bytes.truncate(at.index(bytes.len()));
        read_as_all(&bytes);
    }

    #[test]
    fn a_pkcs12_file_cut_short_is_told_so(at in 4_usize..4000) {
        let mut bytes = file("virksomhet.p12");
        bytes.truncate(at);
        let error = SigningKey::from_pkcs12(&bytes, &password(), None, now()).unwrap_err().to_string();
        prop_assert!(error.contains("cut short"), "{}", error);
    }
}

/// A value and its content, in indefinite length (X.690 section 8.1.3.6).
fn indefinite(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x80], content, &[0, 0]].concat()
}

/// An octet string in pieces.
fn in_pieces(octets: &[u8]) -> Vec<u8> {
    let pieces: Vec<u8> = octets
        .chunks(1000)
        .flat_map(|piece| [&[0x04, 0x82], u16::try_from(piece.len()).unwrap().to_be_bytes().as_slice(), piece].concat())
        .collect();
    indefinite(0x24, &pieces)
}

/// Version, authenticated safe and MAC of a PKCS#12 file.
fn parts(der: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    use der::asn1::OctetString;
    use der::{Decode, Header, Reader, SliceReader};
    let mut pfx = SliceReader::new(der).unwrap();
    Header::decode(&mut pfx).unwrap();
    let version = pfx.tlv_bytes().unwrap();
    let mut content_info = SliceReader::new(pfx.tlv_bytes().unwrap()).unwrap();
    let mac = pfx.tlv_bytes().unwrap();
    Header::decode(&mut content_info).unwrap();
    content_info.tlv_bytes().unwrap(); // the OID
    Header::decode(&mut content_info).unwrap();
    let safe = OctetString::decode(&mut content_info).unwrap();
    (version.to_vec(), safe.as_bytes().to_vec(), mac.to_vec())
}

const DATA: &[u8] = b"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01";

fn in_ber(version: &[u8], safe: &[u8], mac: &[u8]) -> Vec<u8> {
    let content_info = indefinite(0x30, &[DATA, &indefinite(0xA0, &in_pieces(safe))].concat());
    indefinite(0x30, &[version, &content_info, mac].concat())
}

fn has_all_three_pairs(bytes: &[u8]) {
    let key = SigningKey::from_pkcs12(bytes, &password(), None, now()).unwrap();
    assert_eq!(key.choice().unwrap().passed_over().len(), 2);
    assert_eq!(*key.certificate().unwrap().sha256(), sha256("virksomhet.pem"));
}

/// As some programs write it: indefinite lengths, and strings in pieces (BER), here outside of what the MAC covers.
#[test]
fn a_pkcs12_file_in_ber_gives_all_its_pairs() {
    let (version, safe, mac) = parts(&file("pairs.p12"));
    has_all_three_pairs(&in_ber(&version, &safe, &mac));
}

/// The same within; without a MAC, which would be another one, and without which OpenSSL 3.0 opens none.
#[cfg(feature = "vendored-openssl")]
#[test]
fn a_pkcs12_file_in_ber_throughout_gives_all_its_pairs() {
    use der::{Decode, Header, Reader, SliceReader};
    let (version, safe, _) = parts(&file("pairs.p12"));
    let mut reader = SliceReader::new(&safe).unwrap();
    Header::decode(&mut reader).unwrap();
    let mut content_infos = Vec::new();
    while !reader.is_finished() {
        let whole = reader.tlv_bytes().unwrap();
        let mut content_info = SliceReader::new(whole).unwrap();
        Header::decode(&mut content_info).unwrap();
        let oid = content_info.tlv_bytes().unwrap();
        let value = content_info.tlv_bytes().unwrap();
        let mut value = SliceReader::new(value).unwrap();
        Header::decode(&mut value).unwrap();
        let octets_or_encrypted_data = value.tlv_bytes().unwrap();
        content_infos.extend(if oid == DATA {
            let octets = der::asn1::OctetString::from_der(octets_or_encrypted_data).unwrap();
            indefinite(0x30, &[oid, &indefinite(0xA0, &in_pieces(octets.as_bytes()))].concat())
        } else {
            indefinite(0x30, &[oid, &indefinite(0xA0, octets_or_encrypted_data)].concat())
        });
    }
    has_all_three_pairs(&in_ber(&version, &indefinite(0x30, &content_infos), &[]));
}
