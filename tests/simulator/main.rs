//! The simulator through its front door: real HTTP, grants made here by openssl alone.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clients_file;
mod control;
mod faults;
mod grants;
mod rules;
mod tokens;
