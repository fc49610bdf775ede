//! What an operator types to set Portvakt up: keys, the first configuration, one token, help.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generated;
mod health;
mod help;
mod init;
mod keygen;
mod questions;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod token;
