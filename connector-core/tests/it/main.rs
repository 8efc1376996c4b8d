//! Behaviour of the framework, through what authors and hosts use.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::type_complexity, reason = "handlers are written where they are used")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod behind_a_write;
mod callbacks;
mod commits;
mod conformance;
mod dispatch;
mod drain;
mod errors;
#[cfg(feature = "calendar")]
mod events;
mod files;
mod fixture;
#[cfg(feature = "mail")]
mod formats;
mod hooks;
mod keys;
mod lessons;
mod lifecycle;
#[cfg(feature = "mail")]
mod mails;
mod manifest;
mod older_options;
mod rates;
mod recording;
mod records;
mod registry;
mod smoke;
mod state;
mod syncing;
mod tasks;
mod threads;
mod tools;
mod unsent;
mod upgrades;
mod walks;
mod work;
mod workers;
mod write_back;
