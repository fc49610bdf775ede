//! The README's quick start, by its own commands and files: only the ports are others, so that tests can run side by side.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/curl.rs"]
mod curl;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use curl::Curl;
use portvakt::config::Config;

const BINARY: &str = "target/release/portvakt ";

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of the README's quick start that are in code blocks.
fn quick_start() -> Vec<String> {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let (_, section) = readme.split_once("## Quick start\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section.split("```sh\n").skip(1).filter_map(|part| part.split("```").next()).flat_map(str::lines).map(str::to_owned).collect()
}

/// The arguments of the README's `portvakt COMMAND …`.
fn arguments(command: &str) -> Vec<String> {
    let lines = quick_start();
    let line = lines.iter().find_map(|line| line.strip_prefix(BINARY).filter(|line| line.starts_with(command)));
    line.unwrap_or_else(|| panic!("no `portvakt {command}` in {lines:#?}")).split(' ').map(str::to_owned).collect()
}

/// A running command, killed when dropped, and the first line of its log in which there is `awaited`.
struct Running(Child);

impl Running {
    fn start(directory: &Path, arguments: &[String], awaited: &str) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portvakt"))
            .args(arguments)
            .args(["--log-format", "json"])
            .current_dir(directory)
            .env_remove("PORTVAKT_LOG")
            .env_remove("PORTVAKT_CONFIG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let running = Self(child);
        let mut lines = BufReader::new(stderr).lines().map(Result::unwrap);
        let line = lines.by_ref().find(|line| line.contains(awaited)).unwrap_or_else(|| panic!("ended without saying {awaited}"));
        std::thread::spawn(move || lines.for_each(drop)); // or it would wait for somebody to read its log
        (running, line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What stands after `before` in a line, as far as an address goes.
fn address_after(line: &str, before: &str) -> String {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("no {before} in {line}"));
    rest.chars().take_while(|character| character.is_ascii_digit() || matches!(character, '.' | ':')).collect()
}

/// The quick start's directory beside certs/, as in a clone.
fn clone() -> (tempfile::TempDir, PathBuf) {
    let clone = tempfile::tempdir().unwrap();
    let quickstart = clone.path().join("deploy/quickstart");
    fs::create_dir_all(&quickstart).unwrap();
    symlink(project().join("certs"), clone.path().join("certs")).unwrap();
    fs::copy(project().join("deploy/quickstart/clients.toml"), quickstart.join("clients.toml")).unwrap();
    (clone, quickstart.join("portvakt.toml"))
}

#[tokio::test]
async fn the_readmes_commands_work() {
    let (clone, portvakt_toml) = clone();
    let mut simulate = arguments("simulate");
    simulate.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
    let (_simulator, line) = Running::start(clone.path(), &simulate, "token endpoint");
    let simulator = address_after(&line, "token endpoint http://");

    let text = fs::read_to_string(project().join("deploy/quickstart/portvakt.toml")).unwrap();
    let free = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "no {from} in portvakt.toml: the README's curl lines would not find it");
        text.replace(from, to)
    };
    let text = free(&text, "127.0.0.1:8080", "127.0.0.1:0");
    let text = free(&text, "127.0.0.1:9464", "127.0.0.1:0");
    let text = free(&text, "127.0.0.1:8090", &simulator);
    fs::write(portvakt_toml, text).unwrap();
    let (_service, line) = Running::start(clone.path(), &arguments("serve"), r#""message":"listening""#);
    let tokens = address_after(&line, r#""tokens":"http://"#);
    let management = address_after(&line, r#""management":"http://"#);

    let mut sent = 0;
    let mut expected = None;
    for line in quick_start() {
        if let Some(comment) = line.strip_prefix("# ") {
            expected = comment.split(':').next().map(|status| status.parse::<u16>().unwrap());
        } else if line.starts_with("curl ") {
            let line = line.replace("127.0.0.1:8080", &tokens).replace("127.0.0.1:9464", &management).replace("127.0.0.1:8090", &simulator);
            let (status, body) = Curl::parse(&line).send().await;
            assert_eq!(Some(status), expected.take(), "{line}\n{body}");
            sent += 1;
        }
    }
    assert!(sent >= 7, "only {sent} curl lines were found in the README");
}

/// The commands of the README's transcript, each with what it is shown to print.
fn transcript() -> Vec<(String, String)> {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let (_, section) = readme.split_once("## From nothing to a token\n").unwrap();
    let block = section.split("```console\n").nth(1).and_then(|part| part.split("```").next()).unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => printed.extend([line, "\n"]),
            (None, None) => panic!("this stands before the first command: {line}"),
        }
    }
    found
}

#[tokio::test]
async fn the_readmes_transcript_from_nothing_to_a_token() {
    let [entered, init, simulate, serve, curl] = transcript().try_into().unwrap();
    assert!(entered.0.ends_with("cd first"), "{entered:?}");
    let directory = tempfile::tempdir().unwrap();
    let words = |command: &str| -> Vec<String> {
        let command = command.split(" 2> ").next().unwrap();
        command.strip_prefix("portvakt ").unwrap().split(' ').map(str::to_owned).collect()
    };
    let line = init.0.strip_prefix("API_KEY=$(").and_then(|rest| rest.strip_suffix(')')).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portvakt"))
        .args(words(line))
        .current_dir(directory.path())
        .env_remove("PORTVAKT_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), init.1);
    let api_key = String::from_utf8(output.stdout).unwrap();

    let mut arguments = words(&simulate.0);
    arguments.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
    let (_simulator, line) = Running::start(directory.path(), &arguments, "token endpoint");
    let simulator = address_after(&line, "token endpoint http://");
    let file = directory.path().join("portvakt.toml");
    let text = fs::read_to_string(&file).unwrap().replace("127.0.0.1:8090", &simulator);
    let text = text.replace("\"127.0.0.1:8080\"", "\"127.0.0.1:0\"").replace("# listen = \"127.0.0.1:9464\"", "listen = \"127.0.0.1:0\"");
    fs::write(&file, text).unwrap();
    let (_service, line) = Running::start(directory.path(), &words(&serve.0), r#""message":"listening""#);
    let tokens = address_after(&line, r#""tokens":"http://"#);

    let line = curl.0.replace("\"X-Gravitee-Api-Key: $API_KEY\"", &format!("'X-Gravitee-Api-Key: {}'", api_key.trim()));
    let (status, body) = Curl::parse(&line.replace("127.0.0.1:8080", &tokens)).send().await;
    assert_eq!(status, 200, "{body}");
    let shown: serde_json::Value = serde_json::from_str(curl.1.trim().lines().last().unwrap()).unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((names(&body), &body["scope"]), (names(&shown), &shown["scope"]));
}

#[test]
fn the_readmes_example_of_a_configuration_file_is_accepted() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    let [example, rule] = blocks.as_slice() else { panic!("there should be two blocks of TOML in the README, and are {}", blocks.len()) };
    let directory = tempfile::tempdir().unwrap();
    for (name, contents) in
        [("virksomhet.p12", "not looked into"), ("virksomhet.pw", "secret\n"), ("proxy.pw", "secret\n"), ("extra-ca.pem", "x")]
    {
        fs::write(directory.path().join(name), contents).unwrap();
    }
    let file = directory.path().join("portvakt.toml");
    let accepted = |text: &str| {
        fs::write(&file, text).unwrap();
        Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    };
    accepted(example);
    // Every line that is commented out is one that could stand there.
    let uncommented: Vec<String> = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.split(' ').nth(1) == Some("=") => setting.replace('…', "portvakt"),
            _ => line.to_owned(),
        })
        .collect();
    assert!(uncommented.iter().all(|line| !line.starts_with("# ") || line.starts_with("# prefetch:")), "{uncommented:#?}");
    accepted(&uncommented.join("\n"));
    // The further parameters stand in a rule of their own.
    let own_rule = rule.trim().replace("krr-test", "freg-test");
    accepted(&example.replace(r#"may = [{ integration = "freg-test", scopes = ["folkeregister:deling/*"] }]"#, &own_rule));
    assert!(fs::read_to_string(&file).unwrap().contains("requires"), "the example's rule was replaced");
}
