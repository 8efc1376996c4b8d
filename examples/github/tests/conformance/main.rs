//! The connector keeps the promises of the framework, with a service in memory that answers as GitHub's
//! documentation says: <https://docs.github.com/en/rest>.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a service of tests fails by panics, as tests do")]

mod service;

connector_core::conformance!(connector_github::GitHub, service::GitHubInMemory::default());
