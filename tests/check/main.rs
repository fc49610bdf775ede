//! `portvakt check`: what it says of set-ups that are good, and of those that are broken in one way each.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod command_line;
mod configuration;
mod exchanges;
mod keys;
mod listeners;
mod network;
mod servers;
mod snapshots;
mod workbench;
