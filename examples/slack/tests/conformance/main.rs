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

/// Slack does not say what has changed in the last day, so a sync fetches all of it again: a week with a thousand kills
/// is as slow as all of these.
const KILLS: usize = 250;

fn a_week(seed: u64) {
    let report = Conformance::of::<Slack>(SlackByHand::new).channels(CONVERSATIONS).weeks(seed, KILLS);
    report.assert();
    assert_eq!(report.kills(), KILLS);
}

macro_rules! a_thousand_kills {
    ($($name:ident: $seed:literal;)*) => {$(
        /// Issue 4, R6.5: killed a thousand times in four weeks, the host has what Slack has.
        #[test]
        fn $name() {
            a_week($seed);
        }
    )*};
}

a_thousand_kills! {
    kills_of_the_first_week: 100;
    kills_of_the_second_week: 200;
    kills_of_the_third_week: 300;
    kills_of_the_fourth_week: 400;
}
