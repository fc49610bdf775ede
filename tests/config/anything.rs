//! What an operator, or a cat on the keyboard, may write: it never panics, and never shows a secret.

use std::fs;

use portvakt::config::{Colours, Config, ConfigError, Severity};
use proptest::prelude::*;

use crate::workbench::{GOOD, Workbench, changed};

/// Broken in as many ways as there are sections.
const MANY: &[(&str, &str)] = &[
    ("listen = \"127.0.0.1:8080\"", "listen = \"8080\"\nshutdown_grace = 30\n[cache]\nmax_token = 5"),
    ("http://127.0.0.1:8090/token", "http://maskinporten.example.no/token"),
    ("client_id = \"1111\"", "client_id = \"1111 \""),
    ("freg.p12", "no-such.p12"),
    ("freg.pw", "open.pw"),
    ("\"test\"", "\"tset\""),
    ("kid = \"k1\"", "kid = \"\""),
    ("integration = \"freg\"", "integration = \"ferg\""),
    ("\"freg:*\"", "\"*:freg\""),
];

#[test]
fn all_mistakes_of_a_file_are_reported_in_one_go() {
    let workbench = Workbench::new();
    let error = workbench.load(changed(MANY)).unwrap_err();
    let found: Vec<_> =
        error.mistakes().iter().map(|mistake| (mistake.line(), mistake.column(), workbench.shown(mistake.text()))).collect();
    let expected = [
        (2, 10, "`8080` is a port alone: an address is needed too"),
        (3, 18, "`shutdown_grace` must be a duration with its unit, as text in quotes"),
        (5, 1, "unknown key `max_token` in [cache]"),
        (
            9,
            18,
            "`http://maskinporten.example.no/token` is plain http, which is refused for anything but loopback: a grant and a token would cross the network in plain text",
        ),
        (13, 13, "`client_id` begins or ends with a space"),
        (16, 23, "cannot use `no-such.p12`: No such file or directory (os error 2)"),
        (16, 54, "`open.pw` holds a secret and is open to everyone on this machine (mode 0644)"),
        (21, 15, "there is no environment `tset`"),
        (22, 45, "`kid` is empty, begins or ends with a space, or has a control character"),
        (27, 24, "there is no integration `ferg`"),
        (27, 42, "`*:freg`: `*` can only be a scope's last character"),
    ];
    assert_eq!(found, expected.map(|(line, column, text)| (line, column, text.to_owned())));
    assert_eq!(error.mistakes().iter().filter(|mistake| mistake.severity() == Severity::Warning).count(), 1);
    assert_eq!(
        error.render(Colours::Without).matches("\n   = help: ").count() + error.render(Colours::Without).matches("\n  = help: ").count(),
        expected.len()
    );
}

#[test]
fn colours_are_there_when_asked_for_only() {
    let error = Workbench::new().load("").unwrap_err();
    assert!(!error.render(Colours::Without).contains('\u{1b}') && !error.to_string().contains('\u{1b}'));
    assert!(error.render(Colours::With).contains('\u{1b}'));
}

#[test]
fn an_empty_file_is_told_what_it_lacks() {
    assert_eq!(
        Workbench::new().complaints(""),
        "error: [server] has no `listen`
 --> portvakt.toml:1:1
  |
1 |
  | ^
  |
  = help: write for example `listen = \"127.0.0.1:8080\"`

error: the file has no integration: there is nothing to get a token for
 --> portvakt.toml:1:1
  |
1 |
  | ^
  |
  = help: write `[[integration]]`, with its name, client_id, environment and key

error: the file has no caller: nobody could ask for a token
 --> portvakt.toml:1:1
  |
1 |
  | ^
  |
  = help: write `[[caller]]`, with its name, keys and what it may have"
    );
}

#[test]
fn a_file_that_is_not_utf8_is_told_where() {
    assert_eq!(
        Workbench::new().complaints(b"[server]\n# bl\xe5b\xe6r\n"),
        "error: this is not UTF-8
 --> portvakt.toml:2:5
  |
2 | # bl\u{fffd}b\u{fffd}r
  |     ^
  |
  = help: save the file as UTF-8 text"
    );
}

#[test]
fn a_file_that_is_not_there_is_told_how_to_name_another() {
    let workbench = Workbench::new();
    let error = Config::load(&workbench.path().join("portvakt.toml")).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }) && error.mistakes().is_empty());
    assert_eq!(
        workbench.shown(&error.render(Colours::With)),
        "cannot read the configuration file `portvakt.toml`: No such file or directory (os error 2). Name the file with --config FILE or PORTVAKT_CONFIG, or make one with portvakt init"
    );
}

#[test]
fn a_key_file_that_never_ends_does_not_keep_the_start_waiting() {
    let workbench = Workbench::new();
    for name in ["/dev/zero", "/dev/null"] {
        let complaints = workbench.complaints(changed(&[("freg.p12", name)]));
        assert!(complaints.contains("it is not a regular file"), "{complaints}");
    }
    workbench.write("large", &vec![b'x'; 1024 * 1024 + 1], 0o600);
    assert!(workbench.complaints(changed(&[("freg.p12", "large")])).contains("it is larger than 1 MiB"));
}

/// However the file around it is broken, a pasted secret is never in what is printed.
#[test]
fn a_secret_in_a_broken_file_is_never_shown() {
    const SECRET: &str = "Zm9ya2xhcnQ0Mg";
    let forms = [
        format!("password = \"{SECRET}\""),
        format!("key = {{ pkcs12_file = \"a\", password = '{SECRET}' }}"),
        format!("api_key = {SECRET}"),
        format!("keys = [\"{SECRET}\"]"),
        format!("keys = [{{ sha256 = \"{SECRET}\" }}]"),
        format!("keys = [{{ sha256 = 'pv_{SECRET}' }}]"),
        format!("key = \"{SECRET}\""),
        format!("proxy = \"http://me:{SECRET}@proxy:3128\""),
        format!("x = \"pv_{SECRET}\""),
        format!("private_key = '''\n{SECRET}\n'''"),
        format!("private_key = \"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\""),
        format!("x = '-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}=="),
    ];
    let workbench = Workbench::new();
    for header in ["[[caller]]", "[[integration]]", "[outbound]", "[server]"] {
        for form in &forms {
            for text in [
                format!("{header}\n{form}\n"),
                format!("{header}\n{form} x\n"),
                format!("{header}\n{form}\n{GOOD}"),
                format!("{GOOD}{form}\n"),
            ] {
                let error = workbench.load(&text).unwrap_err();
                let shown = format!("{} {error:?} {}", error.render(Colours::With), error.render(Colours::Without));
                assert!(!shown.contains(SECRET), "{text}\n---\n{shown}");
            }
        }
    }
}

fn try_to_load(workbench: &Workbench, text: &[u8]) -> Result<(), TestCaseError> {
    let file = workbench.path().join("portvakt.toml");
    fs::write(&file, text).unwrap();
    if let Err(error) = Config::load(&file) {
        prop_assert!(error.mistakes().iter().any(|mistake| mistake.severity() == Severity::Error), "refused, and no reason given");
        prop_assert!(!error.render(Colours::With).is_empty());
        for mistake in error.mistakes() {
            prop_assert!(mistake.line() >= 1 && mistake.column() >= 1 && !mistake.help().is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        try_to_load(&Workbench::new(), text.as_bytes())?;
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        try_to_load(&Workbench::new(), &bytes)?;
    }

    #[test]
    fn no_change_of_a_good_file_makes_it_panic(
        cut in 0_usize..GOOD.len(),
        length in 0_usize..60,
        inserted in "(\"|'|\\[|\\]|\\{|\\}|=|,|\n|#|[a-z0-9:*/ ]|\\PC|\u{0}|\r|\t|-----BEGIN|\"\"\"){0,6}",
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        let end = (cut + length).min(bytes.len());
        bytes.splice(cut..end, inserted.into_bytes());
        try_to_load(&Workbench::new(), &bytes)?;
    }

    #[test]
    fn no_value_makes_it_panic(line in 0_usize..24, value in "(\"\\PC{0,12}\"|[0-9_.:TZ+-]{1,20}|\\[(\"\\PC{0,5}\",?){0,3}\\]|\\{ ?(sha256|file|scope|integration|scopes|pid|kid) = (\"\\PC{0,5}\"|5|true|\\[\\]) ?\\}|true|0x[0-9a-f]{1,20}|inf|nan)") {
        let mut lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
        if let Some((key, _)) = lines[line].clone().split_once(" = ") {
            lines[line] = format!("{key} = {value}");
        }
        try_to_load(&Workbench::new(), lines.join("\n").as_bytes())?;
    }
}

#[test]
fn what_is_nested_without_end_does_not_exhaust_the_stack() {
    const DEPTH: usize = 100_000;
    let workbench = Workbench::new();
    for text in [
        format!("a = {}", "[".repeat(DEPTH)),
        format!("a = {}", "{a=".repeat(DEPTH)),
        format!("{}a = 1", "a.".repeat(DEPTH)),
        format!("[{}a]", "a.".repeat(DEPTH)),
        format!("a = {{ {}a = 1 }}", "a.".repeat(DEPTH)),
    ] {
        assert!(workbench.load(text).is_err());
    }
}
