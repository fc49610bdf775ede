//! Keys and certificates that cannot sign, or whose signature Maskinporten would refuse.

use rstest::rstest;

use crate::servers;
use crate::workbench::*;

const KRR: &str = "keys krr";
const FREG: &str = "keys freg";

#[rstest]
#[case::wrong_password(|bench: &mut Workbench| { bench.write("virksomhet.p12.password", "wrong"); }, KRR, &["password does not open it", "openssl pkcs12", "virksomhet.p12 (line"])]
#[case::not_a_pkcs12(|bench: &mut Workbench| bench.pkcs12("virksomhet.pem"), KRR, &["PKCS#12", "is expected", "virksomhet.pem (line"])]
#[case::no_key_in_it(|bench: &mut Workbench| bench.pkcs12("no-key.p12"), KRR, &["no private key in it", "Export it again with its key"])]
#[case::no_certificate_in_it(|bench: &mut Workbench| bench.pkcs12("no-certificate.p12"), KRR, &["no certificate in it", "Export it again with its certificate"])]
#[case::key_of_another_certificate(|bench: &mut Workbench| bench.pkcs12("wrong-key.p12"), KRR, &["not that of the certificate", "Find the key"])]
#[case::elliptic_curve(|bench: &mut Workbench| bench.pkcs12("ec.p12"), KRR, &["EC", "RSA keys only", "Make one"])]
#[case::too_short(|bench: &mut Workbench| bench.pkcs12("rsa-1024.p12"), KRR, &["1024 bits", "2048", "Make a new one"])]
#[case::expired(|bench: &mut Workbench| bench.pkcs12("expired.p12"), KRR, &["has expired", "2023-01-01", "Put a valid virksomhetssertifikat in its place"])]
#[case::not_yet_valid(|bench: &mut Workbench| bench.pkcs12("not-yet-valid.p12"), KRR, &["not valid yet", "2052-01-01", "check this machine's clock"])]
#[case::for_encryption_only(|bench: &mut Workbench| bench.pkcs12("encryption-only.p12"), KRR, &["may not sign", "Use the pair for signing"])]
#[case::no_such_fingerprint(
    |bench: &mut Workbench| {
        bench.pkcs12("pairs.p12");
        bench.krr.key = bench.krr.key.replace(" }", &format!(", certificate_sha256 = \"{}\" }}", "ab".repeat(32)));
    },
    KRR,
    &["no key pair in it has a certificate with the SHA-256 fingerprint abab", "certificate_sha256"]
)]
#[case::key_and_certificate_as_pem_that_do_not_fit(
    |bench: &mut Workbench| {
        bench.copy("virksomhet.pem").copy("seal.key");
        bench.krr.key = "{ certificate_file = \"virksomhet.pem\", private_key_file = \"seal.key\" }".to_owned();
    },
    KRR,
    &["not that of the certificate", "virksomhet.pem and", "seal.key (line"]
)]
#[case::jwk_without_kid(
    |bench: &mut Workbench| {
        let jwk = std::fs::read_to_string(crate::support::certs("registered-2048.private.jwk")).unwrap();
        bench.write("key.jwk", jwk.replace("\"kid\"", "\"name\""));
        bench.freg.key = "{ jwk_file = \"key.jwk\" }".to_owned();
    },
    FREG,
    &["the JWK has no `kid`", "Give the kid of the key as it is registered"]
)]
#[case::public_jwk(
    |bench: &mut Workbench| {
        bench.copy("registered-2048.public.jwk");
        bench.freg.key = "{ jwk_file = \"registered-2048.public.jwk\" }".to_owned();
    },
    FREG,
    &["public key", "private one"]
)]
#[case::encrypted_and_no_password(
    |bench: &mut Workbench| {
        bench.copy("registered-2048.encrypted.pem");
        bench.freg.key = "{ private_key_file = \"registered-2048.encrypted.pem\", kid = \"k\" }".to_owned();
    },
    FREG,
    &["encrypted", "Name the file that holds its password"]
)]
fn a_key_that_cannot_be_used(#[case] breaking: fn(&mut Workbench), #[case] line: &str, #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    breaking(&mut bench);
    let exchange = if line == KRR { KRR_EXCHANGE } else { FREG_EXCHANGE };
    bench.check(&[]).fails(line, words, &[exchange]);
    // Nobody was asked what cannot work.
    assert_eq!(bench.simulator.counters().answered, 1);
}

#[test]
fn a_test_certificate_in_production() {
    let mut bench = Workbench::new();
    bench.krr.environment = "prod".to_owned();
    let report = bench.check(&["--offline"]);
    assert_eq!(report.names("failed"), [KRR]);
    report.with_result("failed")[0].says(&[
        "test certificate in production",
        "MP-120",
        "Test4",
        "a production certificate in line",
        "`prod`",
    ]);
    bench.krr.environment = "test".to_owned();
    assert_eq!(bench.check(&["--offline"]).names("failed"), [""; 0]);
}

/// A virksomhetssertifikat that an issuer of this name has issued, for so many days from now, with its chain.
fn issued(bench: &mut Workbench, issuer: &str, days: u32) {
    let (issuer_key, issuer) = servers::certificate(&[("CN", issuer)], 3650, None);
    let subject = [("O", "DIGITALISERINGSDIREKTORATET"), ("serialNumber", "991825827"), ("CN", "DIGITALISERINGSDIREKTORATET")];
    let (key, leaf) = servers::certificate(&subject, days, Some((&issuer_key, &issuer)));
    bench.write("made.key", key.private_key_to_pem_pkcs8().unwrap());
    bench.write("made.pem", [leaf.to_pem().unwrap(), issuer.to_pem().unwrap()].concat());
    "{ certificate_file = \"made.pem\", private_key_file = \"made.key\" }".clone_into(&mut bench.krr.key);
}

#[rstest]
#[case(29, true)]
#[case(30, true)]
#[case(32, false)]
fn a_certificate_that_ends_soon(#[case] days: u32, #[case] warned: bool) {
    let mut bench = Workbench::new();
    issued(&mut bench, "Some CA", days);
    let report = bench.check(&["--offline"]);
    let warnings = report.with_result("warning");
    let about_its_end = warnings.iter().any(|line| line.name == KRR && line.has(&["days left", "Order a new virksomhetssertifikat"]));
    assert_eq!(about_its_end, warned, "{}", report.out);
}

#[test]
fn a_production_certificate_in_test() {
    let mut bench = Workbench::new();
    issued(&mut bench, "Buypass Class 3 CA G2 ST Business", 400);
    bench.krr.environment = "test".to_owned();
    let report = bench.check(&["--offline"]);
    assert_eq!(report.names("failed"), [KRR]);
    report.with_result("failed")[0].says(&["production certificate in test", "MP-120", "a test certificate in line"]);
}

#[test]
fn a_certificate_that_stands_alone() {
    let mut bench = Workbench::new();
    let pem = std::fs::read_to_string(crate::support::certs("virksomhet.pem")).unwrap();
    let leaf = pem.split_inclusive("-----END CERTIFICATE-----").next().unwrap();
    bench.copy("virksomhet.key").write("leaf.pem", leaf);
    bench.krr.key = "{ certificate_file = \"leaf.pem\", private_key_file = \"virksomhet.key\" }".to_owned();
    bench.check(&[]).warns(KRR, &["stands alone", "Add the issuing CA's certificate"]);
}

#[test]
fn what_is_known_of_good_keys() {
    let lines = Workbench::new().check(&[]).with_result("ok");
    let line = |name: &str| lines.iter().find(|line| line.name == name).unwrap();
    line(FREG).says(&["kid portvakt-test-2048", "2048 bits", "thumbprint "]);
    line(KRR).says(&["991825827", "test certificate", "days left", "digitalSignature", "2048 bits"]);
}
