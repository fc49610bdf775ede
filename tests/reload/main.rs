//! Another configuration while the service runs: what brings it in, what it changes, and what it leaves as it is.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod circuit;
mod metrics;
mod scene;
mod settings;
mod swapped;
mod tokens;
mod triggers;
mod under_load;
mod wrong;
