//! The operator's file, through `Config::load`: what is good, and every complaint about what is not, to the character.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // these are tests; clippy only sees it inside `#[test]`

mod anything;
mod callers;
mod good_files;
mod integrations;
mod sections;
mod whole_file;
mod workbench;
