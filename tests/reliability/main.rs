//! What a caller feels when things go wrong upstream, or to us: the README's section Reliability, made again by `tests/reliability/run`.
//!
//! `cargo test` runs short forms; with PORTVAKT_RELIABILITY=full, and in release, the full ones, and prints their tables.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod fault_rows;
mod front;
mod half;
mod hanging;
mod load;
mod matrix;
mod memory;
mod report;
mod stub;
mod world;
