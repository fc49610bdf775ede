//! The gateway's door, `/token`, through the front: the real binary, the simulator as Maskinporten, HTTP by the byte.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod api_key;
mod bodies;
mod door;
mod error_table;
mod gateway;
mod heads;
mod limits;
mod maskinporten;
mod parameters;
