//! The program as its users run it: the real binary, a real database file, and implementations of
//! the services' APIs that are not ours. Each test starts an emulator of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation of a test is reported by a panic"
)]

mod bad_input;
mod commands;
mod crash;
mod files;
mod hooks;
mod http;
mod oauth;
mod rig;
mod slack;
