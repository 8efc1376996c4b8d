use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use jiff::{SignedDuration, Timestamp};

use crate::clock::{BoxFuture, Clock};

/// A clock that stands still until a test moves it. A clone shows the same time.
///
/// ```
/// use connector_core::testing::VirtualClock;
/// use jiff::{SignedDuration, Timestamp};
///
/// let clock = VirtualClock::new(Timestamp::UNIX_EPOCH);
/// clock.advance(SignedDuration::from_secs(60));
/// assert_eq!(clock.now().as_second(), 60);
/// assert_eq!(clock.next_wake(), None);
/// ```
#[derive(Clone)]
pub struct VirtualClock {
    face: Arc<Mutex<Face>>,
}

struct Face {
    now: Timestamp,
    /// Those who sleep. One that is not here any more has been woken.
    sleepers: BTreeMap<(Timestamp, u64), Option<Waker>>,
    next: u64,
}

impl VirtualClock {
    /// A clock that shows this time.
    pub fn new(start: Timestamp) -> Self {
        Self { face: Arc::new(Mutex::new(Face { now: start, sleepers: BTreeMap::new(), next: 0 })) }
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        self.face().now
    }

    /// Moves it on by this much, or back where that is negative. Stops at the ends of the calendar.
    pub fn advance(&self, by: SignedDuration) {
        let limit = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        let to = self.now().checked_add(by).unwrap_or(limit);
        self.set(to);
    }

    /// Moves it to this time, which may be in the past: the clocks of machines do that too. Who has
    /// been woken by then stays awake.
    pub fn set(&self, to: Timestamp) {
        let woken = {
            let mut face = self.face();
            face.now = to;
            let asleep = match to.checked_add(SignedDuration::from_nanos(1)) {
                Ok(later) => face.sleepers.split_off(&(later, 0)),
                Err(_) => BTreeMap::new(),
            };
            std::mem::replace(&mut face.sleepers, asleep)
        };
        for waker in woken.into_values().flatten() {
            waker.wake();
        }
    }

    /// The earliest time that someone sleeps until; none if nobody sleeps.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.face().sleepers.first_key_value().map(|((at, _), _)| *at)
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let mut face = self.face();
        let bed = (face.now < at).then(|| {
            let bed = (at, face.next);
            face.next += 1;
            face.sleepers.insert(bed, None);
            bed
        });
        Box::pin(Sleep { clock: self.clone(), bed })
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let face = self.face();
        f.debug_struct("VirtualClock").field("now", &face.now).field("sleepers", &face.sleepers.len()).finish()
    }
}

struct Sleep {
    clock: VirtualClock,
    /// None for one that never had to sleep.
    bed: Option<(Timestamp, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(bed) = self.bed else {
            return Poll::Ready(());
        };
        match self.clock.face().sleepers.get_mut(&bed) {
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(bed) = self.bed {
            self.clock.face().sleepers.remove(&bed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[tokio::test]
    async fn sleepers_wake_when_the_time_reaches_them_and_not_before() {
        let clock = VirtualClock::new(at(0));
        let early = tokio::spawn(clock.sleep_until(at(10)));
        let late = tokio::spawn(clock.sleep_until(at(20)));
        tokio::task::yield_now().await;
        assert_eq!(clock.next_wake(), Some(at(10)));
        clock.advance(SignedDuration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        clock.advance(SignedDuration::from_secs(1));
        early.await.expect("it woke");
        assert!(!late.is_finished());
        assert_eq!(clock.next_wake(), Some(at(20)));
        clock.set(at(100));
        late.await.expect("it woke");
        assert_eq!(clock.next_wake(), None);
    }

    #[tokio::test]
    async fn what_is_due_does_not_sleep() {
        let clock = VirtualClock::new(at(10));
        clock.sleep_until(at(10)).await;
        clock.sleep_until(at(1)).await;
        assert_eq!(clock.next_wake(), None);
    }

    #[test]
    fn dropped_sleepers_are_forgotten() {
        let clock = VirtualClock::new(at(0));
        let sleep = clock.sleep_until(at(10));
        assert_eq!(clock.next_wake(), Some(at(10)));
        drop(sleep);
        assert_eq!(clock.next_wake(), None);
    }

    #[tokio::test]
    async fn time_may_go_back_and_the_woken_stay_awake() {
        let clock = VirtualClock::new(at(50));
        let woken = clock.sleep_until(at(60));
        let asleep = clock.sleep_until(at(70));
        clock.set(at(60));
        clock.set(at(0));
        assert_eq!(clock.now(), at(0));
        woken.await;
        assert_eq!(clock.next_wake(), Some(at(70)));
        drop(asleep);
        clock.advance(SignedDuration::from_secs(-5));
        assert_eq!(clock.now(), at(-5));
        clock.advance(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
