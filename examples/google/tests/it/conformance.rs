//! The scripted life, with each of the three products in turn as the one in which most happens.

use connector_core::testing::conformance::{Conformance, Promise, Verdict};
use connector_google::Google;

use crate::model::{ADA, GoogleModel};

fn lives(first: &str) -> Conformance<GoogleModel> {
    let calendar = format!("calendar:{ADA}");
    let mut channels = ["mail:INBOX", calendar.as_str(), "tasks:home"];
    channels.sort_by_key(|channel| !channel.starts_with(first));
    Conformance::of::<Google>(GoogleModel::default).channels(channels).points(6)
}

macro_rules! products {
    ($($product:ident: $kills:literal kills;)*) => {
        $(
            mod $product {
                /// R12.2
                #[test]
                fn conformance() {
                    let report = super::lives(stringify!($product)).run();
                    report.assert();
                    // Pushes, watches and events that recur.
                    for promise in [3, 13, 27].map(super::Promise::new) {
                        let tried = matches!(report.verdict(promise), super::Verdict::Passed { .. });
                        assert!(tried || stringify!($product) != "calendar", "{promise} was not tried\n{report}");
                    }
                }

                /// R12.2: killed at random, the host has what Google has in the end; a thousand times with all three.
                #[test]
                fn killed_in_a_week() {
                    let report = super::lives(stringify!($product)).week(1, $kills);
                    report.assert();
                    assert_eq!(report.kills(), $kills, "{report}");
                }
            }
        )*
    };
}

products! {
    mail: 334 kills;
    calendar: 334 kills;
    tasks: 334 kills;
}
