//! The life that every connector lives, against a GitHub in memory.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod service;

use connector_core::testing::conformance::Conformance;
use connector_github::GitHub;
use service::GitHubByHand;

connector_core::conformance!(GitHub, GitHubByHand::new());

/// Issue 4, R6.5: killed a thousand times in a week, the host has what GitHub has.
#[test]
fn a_thousand_kills() {
    let report = Conformance::of::<GitHub>(GitHubByHand::new).weeks(1, 1000);
    report.assert();
    assert_eq!(report.kills(), 1000);
}
