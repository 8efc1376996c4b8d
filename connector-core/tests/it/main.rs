//! Behaviour of the framework, through what authors and hosts use.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod callbacks;
mod drain;
mod fixture;
mod smoke;
mod state;
mod tasks;
