//! The only place that asks what time it is.

use crate::time::Time;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in whole seconds.
    fn now(&self) -> Time;
}

/// The computer's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Time {
        Time::from_unix(jiff::Timestamp::now().as_second())
    }
}

/// A clock that stands still, for tests and for `--at`.
#[derive(Debug, Clone, Copy)]
pub struct Fixed(pub Time);

impl Clock for Fixed {
    fn now(&self) -> Time {
        self.0
    }
}
