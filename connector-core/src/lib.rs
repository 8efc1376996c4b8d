//! The declarative connector framework: what the author of a connector imports.

#[cfg(feature = "calendar")]
pub mod calendar;
pub mod callback;
pub mod clock;
pub mod component;
pub mod connector;
pub mod content;
pub mod context;
pub mod credential;
pub mod declaration;
pub mod dispatch;
pub mod engine;
pub mod error;
pub mod files;
mod generated;
mod hex;
pub mod id;
pub mod link_type;
pub mod manifest;
pub mod model;
mod named_function;
pub mod network;
pub mod options;
pub mod ports;
pub mod prelude;
mod records;
pub mod registry;
pub mod runtime;
pub mod schema;
pub mod secret;
pub mod testing;
pub mod tool;
mod unit_of_work;
pub mod value;
pub mod walk;
pub mod webhook;
pub mod whole_file;
pub mod work;

#[doc(hidden)]
pub mod __private;

#[cfg(feature = "macros")]
pub use connector_macros::{Choices, Options, callback, connector, drain, every, link_type, sync, tool, webhook};
pub use error::{Error, ErrorKind, GoneExt, Result, ResultExt};
pub use schemars;
pub use serde;

/// The code of the page on testing compiles, and runs.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../../docs/testing.md")]
struct TestingPage;
