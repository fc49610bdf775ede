//! Portvakt: the token service that stands between an organisation's gateways and services, and Maskinporten.
//!
//! The rooms, and who may call whom, are described in ARCHITECTURE.md:
//! `commands` → `http` → `access`, `tokens` → `maskinporten`.

pub mod access;
pub mod commands;
pub mod config;
pub mod http;
pub mod maskinporten;
pub mod simulator;
pub mod telemetry;
pub mod tokens;
