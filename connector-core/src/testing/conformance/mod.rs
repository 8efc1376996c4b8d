//! A life of a connector, scripted, with everything that can go wrong in it (R12.2).
//!
//! [`conformance!`](crate::conformance) makes a test of it: the connector is connected to a
//! [`ConformanceService`] that its author gives, lists and enables channels, walks what is there,
//! follows what changes at either end, and is disabled and disconnected; then the same again with a
//! fault at each call and a kill at each commit in turn. The [`Report`] says of each
//! [promise](Promise) whether it is kept.

mod calendar;
mod compare;
mod dice;
mod gate;
mod life;
mod odd;
mod pushes;
mod report;
mod scenarios;
mod script;
mod service;
mod user;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use report::{Promise, Report, Verdict};
pub use service::{App, ConformanceService, Edit, Endless, Item, Push, Refusal};

use crate::component::Declared;
use crate::connector::Connector;
use crate::dispatch::HooksOf;
use crate::id::ChannelId;
use crate::registry::Registry;
use life::Setup;

/// Makes a test, `conformance`, of a connector and a service of yours: `conformance!(Notes, NotesService::default())`.
/// The service is made anew for each life. What follows are calls on [`Conformance`]:
/// `conformance!(Notes, NotesService::default(), options(json!({ "folder": "Inbox" })))`.
#[macro_export]
macro_rules! conformance {
    ($connector:ty, $service:expr $(, $setting:ident($($value:expr),* $(,)?))* $(,)?) => {
        #[test]
        fn conformance() {
            $crate::testing::conformance::Conformance::of::<$connector>(|| $service)
                $(.$setting($($value),*))*
                .run()
                .assert();
        }
    };
}

/// Points at which each fault strikes, at most.
const POINTS: usize = 12;

/// Sets how many, in place of that.
const POINTS_VARIABLE: &str = "CONFORMANCE_POINTS";

/// The lives of one connector.
pub struct Conformance<S> {
    setup: Setup<S>,
}

impl<S: ConformanceService> Conformance<S> {
    /// The lives of this connector with services that this makes.
    ///
    /// # Panics
    ///
    /// If the connector cannot be registered.
    #[allow(clippy::expect_used, reason = "a test fails by it")]
    pub fn of<C: Connector + HooksOf + Declared>(make: impl Fn() -> S + 'static) -> Self {
        let registry = Registry::of::<C>().expect("the connector is sound");
        let connector = registry.iter().next().map(Arc::clone).expect("it is the only one");
        let points = std::env::var(POINTS_VARIABLE).ok().and_then(|points| points.parse().ok()).unwrap_or(POINTS);
        let (options, channels) = (Map::new(), Vec::new());
        let setup = Setup { registry, connector, options, channels, points, make: Box::new(make) };
        Self { setup }
    }

    /// The options of its connections, for those that need some.
    pub fn options(mut self, options: Value) -> Self {
        if let Value::Object(options) = options {
            self.setup.options = options;
        }
        self
    }

    /// The channels that are enabled; else the first two that it lists.
    pub fn channels<T: Into<ChannelId>>(mut self, channels: impl IntoIterator<Item = T>) -> Self {
        self.setup.channels = channels.into_iter().map(Into::into).collect();
        self
    }

    /// At how many calls each fault strikes, and at how many commits the host is killed, at most: 12, or
    /// what the environment variable `CONFORMANCE_POINTS` says. They are spread evenly over a life.
    pub fn points(mut self, points: usize) -> Self {
        self.setup.points = points;
        self
    }

    /// Lives them.
    ///
    /// # Panics
    ///
    /// If the connector does.
    #[allow(clippy::expect_used, reason = "a test fails by it")]
    pub fn run(self) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime for one thread");
        runtime.block_on(async {
            let mut report = Report::new(self.setup.connector.declaration.id);
            scenarios::all(&self.setup, &mut report).await;
            report
        })
    }

    /// Lives a week in which both ends edit at random and the host is killed at random, so often: the same for
    /// the same seed.
    ///
    /// # Panics
    ///
    /// If the connector does.
    #[allow(clippy::expect_used, reason = "a test fails by it")]
    pub fn week(self, seed: u64, kills: usize) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime for one thread");
        runtime.block_on(async {
            let mut report = Report::new(self.setup.connector.declaration.id);
            Box::pin(scenarios::week(&self.setup, &mut report, seed, kills)).await;
            report
        })
    }

    /// Lives such weeks until the host was killed so often, in as few as it takes.
    ///
    /// # Panics
    ///
    /// If the connector does.
    #[allow(clippy::expect_used, reason = "a test fails by it")]
    pub fn weeks(self, seed: u64, kills: usize) -> Report {
        const MOST_WEEKS: u64 = 20;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime for one thread");
        runtime.block_on(async {
            let mut report = Report::new(self.setup.connector.declaration.id);
            for seed in seed..seed + MOST_WEEKS {
                let left = kills - report.kills();
                if left == 0 || !report.failed().is_empty() {
                    break;
                }
                Box::pin(scenarios::week(&self.setup, &mut report, seed, left)).await;
            }
            report
        })
    }
}

impl<S> std::fmt::Debug for Conformance<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conformance").field("connector", &self.setup.connector).finish_non_exhaustive()
    }
}
