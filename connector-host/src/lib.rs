//! Runs connectors: a store, workers, the HTTP API and the command line.
//!
//! A program links the connector crates that it wants and calls [`cli::main`], or embeds a [`Host`]
//! in its own and mounts the [router](Host::router).

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
mod deliveries;
mod detached;
pub mod engine;
mod holding;
pub mod host;
mod keys;
mod limits;
mod metrics;
pub mod network;
mod oauth;
mod rotation;
pub mod server;
mod sessions;
pub mod vault;

pub use config::Config;
pub use host::{Host, HostError};
pub use rotation::Rotated;

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
