//! The time of the operating system.

use std::time::Duration;

use connector_core::clock::{BoxFuture, Clock};
use jiff::Timestamp;

/// Longest sleep before the time is looked at again: it may have been set meanwhile, forwards or backwards.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let left = at.duration_since(Timestamp::now());
                let Ok(left) = Duration::try_from(left) else {
                    return;
                };
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
        })
    }
}
