//! The simulator through its front door: real HTTP, grants made here by openssl alone.

mod clients_file;
mod control;
mod faults;
mod grants;
mod rules;
mod tokens;
