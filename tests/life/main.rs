//! A token's life through the front door: the real binary, the simulator as Maskinporten, real HTTP.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod circuit;
mod clock;
mod fresh;
mod grants;
mod identity;
mod lifetimes;
mod limits;
mod outage;
mod overload;
mod refusals;
mod renewal;
mod retries;
mod shares;
mod single_flight;
mod suspended;
