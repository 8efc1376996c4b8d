//! Time as the host sees it. Nothing else in the framework asks the operating system for it,
//! so that a test moves it.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

/// A boxed future that may go to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the host takes its time from.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Comes back when `now()` has reached that time.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;
}
