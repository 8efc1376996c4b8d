//! The host through its public interface.
#![allow(missing_docs, unreachable_pub, reason = "tests")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod access;
mod agenda;
mod api;
mod attention;
mod bounds;
mod bureau;
mod desk;
mod document;
mod files;
mod fuzz;
mod guard;
mod hooks;
mod network;
mod oauth;
mod once;
mod readme;
mod seals;
mod secrets;
mod server;
mod sessions;
mod stress;
mod unique;
