//! The life that every connector lives, against a Slack in memory: a channel, and a conversation of two.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod service;

use connector_core::testing::conformance::Conformance;
use connector_slack::Slack;
use service::SlackByHand;

const CONVERSATIONS: [&str; 2] = ["C1", "D1"];

connector_core::conformance!(Slack, SlackByHand::new(), channels(CONVERSATIONS));

/// Issue 4, R6.5: killed a thousand times in a week, the host has what Slack has.
#[test]
fn a_thousand_kills() {
    let report = Conformance::of::<Slack>(SlackByHand::new).channels(CONVERSATIONS).weeks(1, 1000);
    report.assert();
    assert_eq!(report.kills(), 1000);
}
