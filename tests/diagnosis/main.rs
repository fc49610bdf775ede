//! Nobody is left wondering why there is no token: each failure that the catalogue has is brought about, and everything that speaks of
//! it has to name it: what happened, what it means, what to do, and the trace ID where there is one.
//!
//! `refusals` and `on_the_way` are the rows of one table; its columns, where a failure is spoken of, are in `columns`.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod columns;
mod on_the_way;
mod refusals;
mod scene;
