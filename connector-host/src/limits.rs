//! How many requests each caller may make.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::api::{Caller, Identity};
use crate::config::Limits;

/// Requests a second of a user's sessions, where the configuration does not say.
const SESSION_REQUESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);

/// Seconds of requests that a caller may save up.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);

/// Counts requests by caller (the generic cell rate algorithm).
pub(crate) struct RequestLimits {
    keys: Option<DefaultKeyedRateLimiter<Identity>>,
    sessions: DefaultKeyedRateLimiter<Identity>,
    clock: DefaultClock,
}

impl RequestLimits {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limiter =
            |rate: NonZeroU32| RateLimiter::keyed(Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST)));
        Self {
            keys: limits.key_requests.map(limiter),
            sessions: limiter(limits.session_requests.unwrap_or(SESSION_REQUESTS)),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one request, or says how long until there is one to take.
    pub(crate) fn take(&self, caller: &Caller, identity: &Identity) -> Result<(), Duration> {
        let limiter = match caller {
            Caller::Operator => self.keys.as_ref(),
            Caller::User(_) => Some(&self.sessions),
        };
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.check_key(identity).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Forgets callers that have all of their requests again.
    pub(crate) fn forget(&self) {
        self.sessions.retain_recent();
        if let Some(keys) = &self.keys {
            keys.retain_recent();
        }
    }
}
