//! `portvakt keygen`: a key to register, and the public half of one that exists.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use portvakt::simulator::{Settings, Simulator};
use rstest::rstest;
use serde_json::Value;

use crate::run::{command, directory, mode, names, run};
use crate::support::{API_KEY, FREG, FREG_SCOPE, Portvakt, certs, sha256};

/// The JWK of a line in square brackets.
#[track_caller]
fn jwk(out: &str) -> Value {
    let line = out.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "one line: {out}");
    serde_json::from_str(line.strip_prefix('[').unwrap().strip_suffix(']').unwrap()).unwrap()
}

/// `key = …`, as it is to stand in portvakt.toml.
#[track_caller]
fn key_line(err: &str) -> &str {
    err.lines().find_map(|line| line.trim().strip_prefix("key = ")).unwrap_or_else(|| panic!("no `key = ` in {err}"))
}

#[test]
fn a_new_key_is_its_owners_alone_and_its_public_half_is_the_result() {
    let directory = directory();
    let said = run(directory.path(), &["keygen"]).fine();
    assert_eq!(names(directory.path()), ["key.pem"]);
    assert_eq!(mode(&directory.path().join("key.pem")), 0o600);
    let jwk = jwk(&said.out);
    let (kid, n) = (jwk["kid"].as_str().unwrap(), jwk["n"].as_str().unwrap());
    // To the letter, in Digdir's order.
    assert_eq!(
        said.out,
        format!("[{{\"kty\":\"RSA\",\"e\":\"AQAB\",\"use\":\"sig\",\"kid\":\"{kid}\",\"alg\":\"RS256\",\"n\":\"{n}\"}}]\n")
    );
    assert_eq!((kid.len(), n.len()), (36, 342));
    assert_eq!(key_line(&said.err), format!("{{ private_key_file = \"key.pem\", kid = \"{kid}\" }}"));
    let pem = fs::read_to_string(directory.path().join("key.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
    let secret = pem.lines().nth(3).unwrap();
    assert!(!said.err.contains(secret) && !said.out.contains(secret));
    // In a year: this test may run over midnight.
    let year = |date: jiff::civil::Date| date.checked_add(jiff::Span::new().years(1)).unwrap().to_string();
    let today = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    assert!(said.err.contains(&year(today)) || said.err.contains(&year(today.yesterday().unwrap())), "{}", said.err);
}

#[test]
fn the_mode_does_not_depend_on_the_umask() {
    let directory = directory();
    let script = format!("umask 0; exec {} keygen > /dev/null 2>&1", env!("CARGO_BIN_EXE_portvakt"));
    assert!(Command::new("sh").args(["-c", &script]).current_dir(directory.path()).status().unwrap().success());
    assert_eq!(mode(&directory.path().join("key.pem")), 0o600);
}

#[rstest]
#[case(&[], "key.pem", 2048, "RS256")]
#[case(&["--bits", "3072"], "key.pem", 3072, "RS256")]
#[case(&["--bits", "4096", "--format", "jwk"], "key.jwk", 4096, "RS256")]
#[case(&["--format", "jwk", "--algorithm", "RS512", "--out", "of 2027.jwk"], "of 2027.jwk", 2048, "RS512")]
#[case(&["--kid", "a \"kid\""], "key.pem", 2048, "RS256")]
fn what_is_made_can_be_shown_again(#[case] arguments: &[&str], #[case] file: &str, #[case] bits: usize, #[case] algorithm: &str) {
    let directory = directory();
    let made = run(directory.path(), &[&["keygen"], arguments].concat()).fine();
    let public = jwk(&made.out);
    assert_eq!((public["alg"].as_str(), public["n"].as_str().map(str::len)), (Some(algorithm), Some((bits / 8 * 4).div_ceil(3))));
    let kid = public["kid"].as_str().unwrap();
    if let Some(position) = arguments.iter().position(|argument| *argument == "--kid") {
        assert_eq!(kid, arguments[position + 1]);
    }
    let mut again = vec!["keygen", "--from", file, "--algorithm", algorithm];
    if arguments.iter().all(|argument| *argument != "jwk") {
        again.extend(["--kid", kid]);
    }
    let again = run(directory.path(), &again).fine();
    assert_eq!(again.out, made.out);
    assert_eq!(key_line(&again.err), key_line(&made.err));
    assert_eq!(again.err.contains("algorithm = \"RS512\""), algorithm == "RS512");
    assert_eq!(names(directory.path()), [file]);
}

#[rstest]
#[case::a_file(false)]
#[case::a_link_to_nothing(true)]
fn nothing_is_ever_overwritten(#[case] link: bool) {
    let directory = directory();
    let file = directory.path().join("key.pem");
    if link {
        symlink(directory.path().join("elsewhere"), &file).unwrap();
    } else {
        fs::write(&file, "the key of last year").unwrap();
    }
    run(directory.path(), &["keygen"]).misused("key.pem exists already, and is never overwritten: name another file with --out");
    assert_eq!(names(directory.path()), ["key.pem"]);
    if !link {
        assert_eq!(fs::read_to_string(&file).unwrap(), "the key of last year");
    }
}

#[test]
fn a_directory_that_is_not_there_is_a_failure_that_leaves_nothing() {
    let directory = directory();
    let said = run(directory.path(), &["keygen", "--out", "nowhere/key.pem"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("nowhere/key.pem could not be written"), "{}", said.err);
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_public_key_that_cannot_be_written_is_a_failure_and_the_key_stays() {
    let directory = directory();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command(directory.path(), &["keygen"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("could not be written to stdout") && said.contains("The private key is in key.pem"), "{said}");
    assert_eq!(names(directory.path()), ["key.pem"]);
}

const PASSWORD: &str = "virksomhet.p12.password";

/// Every file with a private key that can sign, and whose key it is.
#[rstest]
#[case("registered-2048.pem", None, "registered-2048.public.jwk")]
#[case("registered-2048.pkcs1.pem", None, "registered-2048.public.jwk")]
#[case("registered-2048.encrypted.pem", Some(PASSWORD), "registered-2048.public.jwk")]
#[case("registered-2048.private.jwk", None, "registered-2048.public.jwk")]
#[case("registered-4096.pem", None, "registered-4096.public.jwk")]
#[case("registered-4096.pkcs1.pem", None, "registered-4096.public.jwk")]
#[case("registered-4096.encrypted.pem", Some(PASSWORD), "registered-4096.public.jwk")]
#[case("registered-4096.private.jwk", None, "registered-4096.public.jwk")]
fn a_registered_key_of_any_form_gives_the_jwk_that_was_registered(
    #[case] file: &str,
    #[case] password: Option<&str>,
    #[case] public: &str,
) {
    let registered: Value = serde_json::from_str(&fs::read_to_string(certs(public)).unwrap()).unwrap();
    let kid = registered["kid"].as_str().unwrap();
    let path = certs(file);
    let mut arguments = vec!["keygen", "--from", path.to_str().unwrap()];
    let password = password.map(certs);
    arguments.extend(password.iter().flat_map(|file| ["--password-file", file.to_str().unwrap()]));
    arguments.extend(["--kid", kid]);
    let directory = directory();
    let said = run(directory.path(), &arguments).fine();
    let shown = jwk(&said.out);
    for member in ["kty", "kid", "n", "e", "use", "alg"] {
        assert_eq!(shown[member], registered[member], "{member}");
    }
    assert_eq!(said.err.contains("password_file"), password.is_some(), "{}", said.err);
    assert!(names(directory.path()).is_empty());
}

/// All of them hold the key of virksomhet.pem.
#[rstest]
#[case("virksomhet.p12", Some(PASSWORD))]
#[case("virksomhet-legacy.p12", Some(PASSWORD))]
#[case("pairs.p12", Some(PASSWORD))]
#[case("pairs-legacy.p12", Some(PASSWORD))]
#[case("keytool.p12", Some(PASSWORD))]
#[case("empty-password.p12", None)]
#[case("empty-password-legacy.p12", None)]
#[case("no-encryption.p12", Some(PASSWORD))]
#[case("virksomhet.key", None)]
#[case("virksomhet-pkcs1.key", None)]
#[case("virksomhet-encrypted.key", Some(PASSWORD))]
#[case("virksomhet-encrypted-pkcs1.key", Some(PASSWORD))]
#[case("virksomhet-with-key.pem", None)]
fn a_virksomhetssertifikats_key_can_be_registered_too(#[case] file: &str, #[case] password: Option<&str>) {
    let x509 = openssl::x509::X509::from_pem(&fs::read(certs("virksomhet.pem")).unwrap()).unwrap();
    let n = x509.public_key().unwrap().rsa().unwrap().n().to_vec();
    let path = certs(file);
    let mut arguments = vec!["keygen", "--kid", "of-2027", "--from", path.to_str().unwrap()];
    let password = password.map(certs);
    arguments.extend(password.iter().flat_map(|file| ["--password-file", file.to_str().unwrap()]));
    let said = run(&certs(""), &arguments).fine();
    let shown = jwk(&said.out);
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, shown["n"].as_str().unwrap()).unwrap();
    assert_eq!((bytes, shown["kid"].as_str()), (n, Some("of-2027")));
    let pkcs12 = file.contains(".p12");
    // portvakt.toml has no line for the key in a PKCS#12 file without its certificate.
    assert_eq!(said.err.contains("key = {"), !pkcs12, "{}", said.err);
    assert_eq!(said.err.contains("openssl pkcs12 -in"), pkcs12, "{}", said.err);
}

#[rstest]
#[case(&["--from", "registered-2048.pem"], "no kid inside, and none was given")]
#[case(&["--from", "virksomhet.p12", "--password-file", PASSWORD], "no kid inside, and none was given")]
#[case(&["--from", "registered-2048.private.jwk", "--kid", "another"], "a kid of its own")]
#[case(&["--kid", "k", "--from", "registered-2048.public.pem"], "this is a public key")]
#[case(&["--from", "registered-2048.public.jwk"], "this is a public key")]
#[case(&["--kid", "k", "--from", "registered-2048.encrypted.pem"], "no password is given")]
#[case(&["--kid", "k", "--from", "registered-2048.encrypted.pem", "--password-file", "registered-2048.kid"], "the password does not open it")]
#[case(&["--kid", "k", "--from", "virksomhet.p12"], "the password is empty")]
#[case(&["--kid", "k", "--from", "virksomhet.p12", "--password-file", "registered-2048.kid"], "the password does not open it")]
#[case(&["--kid", "k", "--from", "virksomhet.pem"], "there is no private key in it")]
#[case(&["--kid", "k", "--from", "ec.key"], "a key of the kind EC")]
#[case(&["--kid", "k", "--from", "ec.p12", "--password-file", PASSWORD], "a key of the kind EC")]
#[case(&["--kid", "k", "--from", "rsa-1024.key"], "1024 bits")]
#[case(&["--kid", "k", "--from", "no-key.p12", "--password-file", PASSWORD], "no private key")]
#[case(&["--kid", "k", "--from", "registered-2048.kid"], "a PKCS#12 file (.p12, .pfx) is expected")]
#[case(&["--kid", "k", "--from", "nothing-here.pem"], "cannot use `nothing-here.pem`: No such file")]
#[case(&["--kid", "k", "--from", "/dev/zero"], "not a regular file")]
#[case(&["--kid", "k", "--from", "registered-2048.pem", "--password-file", "nothing.pw"], "nothing.pw")]
#[case(&["--from", "key.pem", "--out", "other.pem"], "cannot be used with")]
#[case(&["--from", "key.pem", "--bits", "4096"], "cannot be used with")]
#[case(&["--password-file", PASSWORD], "--from")]
#[case(&["--bits", "1024"], "2048")]
#[case(&["--bits", "many"], "2048")]
#[case(&["--format", "der"], "pem")]
#[case(&["--algorithm", "ES256"], "RS256")]
#[case(&["--kid", ""], "it is empty")]
#[case(&["--kid", " kid"], "a space")]
fn what_cannot_be_shown_or_made(#[case] arguments: &[&str], #[case] why: &str) {
    let directory = directory();
    for name in names(&certs("")) {
        symlink(certs(&name), directory.path().join(&name)).unwrap();
    }
    let before = names(directory.path());
    let said = run(directory.path(), &[&["keygen"], arguments].concat());
    said.misused(why);
    assert_eq!(names(directory.path()), before);
    let password = fs::read_to_string(certs(PASSWORD)).unwrap();
    assert!(!said.err.contains(password.trim()), "{}", said.err);
}

/// keygen, the simulator's clients file, portvakt.toml: by what keygen says, to a token.
#[rstest]
#[case(&["keygen"])]
#[case(&["keygen", "--format", "jwk", "--bits", "3072"])]
#[case(&["keygen", "--algorithm", "RS384", "--kid", "of 2027"])]
#[tokio::test]
async fn a_new_key_is_registered_and_signs(#[case] arguments: &[&str]) {
    let directory = directory();
    let said = run(directory.path(), arguments).fine();
    let file = |name: &str, text: String| fs::write(directory.path().join(name), text).unwrap();
    file("public.jwk", said.out.clone());
    file(
        "clients.toml",
        format!(
            "[[client]]\nclient_id = '{FREG}'\norganisation = '991825827'\nscopes = ['{FREG_SCOPE}']\nkeys = [{{ jwk_file = 'public.jwk' }}]\n"
        ),
    );
    let simulator = Simulator::start(Settings::from_clients_file(&directory.path().join("clients.toml")).unwrap()).unwrap();
    let lines: Vec<&str> =
        said.err.lines().map(str::trim).filter(|line| line.starts_with("key = ") || line.starts_with("algorithm = ")).collect();
    let (issuer, token_endpoint, digest) = (simulator.issuer(), simulator.token_endpoint(), sha256(API_KEY));
    file(
        "portvakt.toml",
        format!(
            "[server]\nlisten = '127.0.0.1:0'\n[management]\nlisten = '127.0.0.1:0'\n[environment.simulator]\nissuer = '{issuer}'\ntoken_endpoint = '{token_endpoint}'\n\
             [[integration]]\nname = 'freg'\nclient_id = '{FREG}'\nenvironment = 'simulator'\n{}\n\
             [[caller]]\nname = 'gateway'\nkeys = [{{ sha256 = '{digest}' }}]\nmay = [{{ integration = 'freg', scopes = ['{FREG_SCOPE}'] }}]\n",
            lines.join("\n")
        ),
    );
    Portvakt::start_in(directory).ask().send().await.token();
}
