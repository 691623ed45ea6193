//! tokio's clock, stopped: time passes for the client when the test says so, while its server, which
//! has a runtime of its own, needs as long as it needs.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time;

/// The stopped clock of a test's runtime, which must be single-threaded. It goes on when this is
/// dropped.
pub struct Clock(#[expect(dead_code, reason = "dropping it ends the task")] Sender<()>);

impl Drop for Clock {
    fn drop(&mut self) {
        time::resume();
    }
}

impl Clock {
    pub fn stop() -> Self {
        // tokio moves a stopped clock on when everything waits, but not while such a task runs.
        let (keep, kept) = channel();
        tokio::task::spawn_blocking(move || kept.recv());
        time::pause();
        Self(keep)
    }

    pub async fn advance(&self, time: Duration) {
        time::advance(time).await;
    }

    /// Awaits a future while time passes ten times as fast as it does.
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            let pause = || std::thread::sleep(Duration::from_millis(5));
            let pause = tokio::task::spawn_blocking(pause);
            match select(future, pause).await {
                Either::Left((result, _)) => return result,
                Either::Right((_, unfinished)) => future = unfinished,
            }
            self.advance(Duration::from_millis(50)).await;
        }
    }
}
