//! One backoff for all refreshes at a provider. While its token endpoint does not answer, one refresh after the other
//! asks whether it is back, with longer and longer pauses; the refreshes of all other accounts fail at once, without a
//! request. A few run side by side, so that few are under way when an outage begins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use connector_core::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Number of refreshes at one provider that run side by side.
const SIDE_BY_SIDE: usize = 4;

/// Pause after the first refresh without an answer; it doubles with each further one, up to the longest.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// A refresh that asks whether the provider is back has this long for it.
const PROBE: SignedDuration = SignedDuration::from_secs(30);

/// The token endpoints of all providers, as refreshes have found them.
pub(super) struct Endpoints {
    clock: Arc<dyn Clock>,
    all: Mutex<HashMap<&'static str, Endpoint>>,
}

struct Endpoint {
    turns: Arc<Semaphore>,
    outage: Option<Outage>,
}

#[derive(Clone, Copy)]
struct Outage {
    failures: i32,
    /// No request is sent before.
    until: Timestamp,
}

/// Permission for one refresh.
pub(super) struct Turn<'a> {
    endpoints: &'a Endpoints,
    provider: &'static str,
    /// It asks whether an outage has ended.
    pub(super) is_probe: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Endpoints {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, all: Mutex::default() }
    }

    /// Waits for a place among the refreshes at a provider. In an outage: the time at which it is asked again.
    pub(super) async fn turn(&self, provider: &'static str) -> Result<Turn<'_>, Timestamp> {
        let turns = self.with(provider, |endpoint| Arc::clone(&endpoint.turns));
        // It is never closed.
        let place = turns.acquire_owned().await.ok();
        let now = self.clock.now();
        let is_probe = self.with(provider, |endpoint| match &mut endpoint.outage {
            Some(outage) if outage.until > now => Err(outage.until),
            Some(outage) => {
                outage.until = later(now, PROBE);
                Ok(true)
            }
            None => Ok(false),
        })?;
        Ok(Turn { endpoints: self, provider, is_probe, _place: place })
    }

    fn with<T>(&self, provider: &'static str, of: impl FnOnce(&mut Endpoint) -> T) -> T {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Endpoint { turns: Arc::new(Semaphore::new(SIDE_BY_SIDE)), outage: None };
        of(all.entry(provider).or_insert_with(new))
    }
}

impl Turn<'_> {
    /// The refresh has ended, and the provider has answered or not.
    pub(super) fn end(self, answered: bool) {
        let now = self.endpoints.clock.now();
        self.endpoints.with(self.provider, |endpoint| {
            endpoint.outage = match endpoint.outage {
                _ if answered => None,
                // One that was under way when the outage began says nothing new.
                Some(outage) if !self.is_probe => Some(outage),
                before => {
                    let failures = before.map_or(0, |outage| outage.failures);
                    let pause = FIRST_PAUSE.saturating_mul(1_i32 << failures.min(16)).min(LONGEST_PAUSE);
                    Some(Outage { failures: failures.saturating_add(1), until: later(now, pause) })
                }
            };
        });
    }
}

fn later(now: Timestamp, pause: SignedDuration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}
