//! Help: every page as it is, on one screen, with examples.

use rstest::rstest;

use crate::run::{command, directory};

/// All pages, by their commands' words.
const PAGES: [&str; 15] = [
    "",
    "serve",
    "demo",
    "simulate",
    "init",
    "check",
    "keygen",
    "api-key",
    "api-key new",
    "api-key hash",
    "gravitee",
    "token",
    "health",
    "completions",
    "man",
];

fn help(page: &str, flag: &str, columns: &str) -> String {
    let mut arguments: Vec<&str> = page.split_terminator(' ').collect();
    arguments.push(flag);
    let output = command(directory().path(), &arguments).env("COLUMNS", columns).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()), "{page}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_page_as_it_is() {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        for page in PAGES {
            let name = if page.is_empty() { "portvakt".to_owned() } else { page.replace(' ', "-") };
            insta::assert_snapshot!(name, help(page, "--help", "100"));
        }
    });
}

#[rstest]
#[case("80", 42)]
#[case("100", 40)]
fn every_page_fits_a_screen_and_has_examples(#[case] columns: &str, #[case] most: usize) {
    for page in PAGES {
        let text = help(page, "--help", columns);
        let lines = text.lines().count();
        assert!(lines <= most, "portvakt {page} --help has {lines} lines at {columns} columns:\n{text}");
        let width: usize = columns.parse().unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= width, "portvakt {page} --help at {columns} columns: {line}");
        }
        assert!(text.contains("Examples:\n  ") || text.contains("To begin with:\n  "), "{text}");
        // The short help is the same page: nobody has to know that there are two.
        assert_eq!(help(page, "-h", columns), text);
        assert!(lines >= 10, "{text}");
    }
}

/// A command that is added has to be added here.
#[test]
fn no_page_is_missing() {
    for parent in ["", "api-key"] {
        let text = help(parent, "--help", "100");
        let (_, commands) = text.split_once("Commands:\n").unwrap();
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            let name = line.trim().split(' ').next().unwrap();
            let page = format!("{parent} {name}");
            assert!(name == "help" || PAGES.contains(&page.trim()), "{page}");
        }
    }
}

/// The examples are commands: their options exist.
#[test]
fn the_options_in_the_examples_exist() {
    for page in PAGES {
        let text = help(page, "--help", "100");
        for line in text.lines().filter(|line| line.starts_with("  portvakt ")) {
            let words: Vec<&str> = line.split_whitespace().take_while(|word| !["|", ">", "<"].contains(word)).collect();
            let of = if words[1] == "api-key" { words[1..3].join(" ") } else { words[1].to_owned() };
            let known = help(&of, "--help", "100");
            for option in words.iter().filter(|word| word.starts_with("--")) {
                assert!(known.contains(option), "{line}: {option} is none of {of}");
            }
        }
    }
}
