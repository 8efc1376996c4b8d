//! The life that every connector lives, against a Linear in memory.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

#[path = "../described/mod.rs"]
mod described;
mod service;

use connector_core::testing::conformance::Conformance;
use connector_linear::Linear;
use service::LinearByHand;

connector_core::conformance!(Linear, LinearByHand::new());

/// Issue 4, R6.5: killed a thousand times in a week, the host has what Linear has.
#[test]
fn a_thousand_kills() {
    let report = Conformance::of::<Linear>(LinearByHand::new).weeks(1, 1000);
    report.assert();
    assert_eq!(report.kills(), 1000);
}
