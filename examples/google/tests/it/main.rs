//! Google against a model of it in memory: the whole life of the connector, and what people expect of their mail,
//! calendar and tasks. Gmail is tested against an emulator, too: `tests/emulator`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod calendar;
mod conformance;
mod mail;
mod model;
mod products;
mod rig;
mod tasks;
mod watch;
