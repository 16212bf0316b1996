//! The clock on the wall. It goes on while the host sleeps, and is set when it was wrong; the
//! timers of the runtime know nothing of either. What has to happen at a certain time waits
//! for it here, and what was computed from the time is computed anew after a change.

use crate::vital;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

/// How often the clock has been set since somebody first wanted to know.
static COUNT: LazyLock<watch::Sender<u64>> = LazyLock::new(|| {
    let count = watch::Sender::new(0);
    let followed = count.clone();
    vital::runtime().spawn(async move {
        let Err(error) = follow(&followed).await;
        tracing::warn!(%error, "changes of the clock aren't heard of");
    });
    count
});

/// Has everybody believe that the clock was set (tests).
#[cfg(feature = "fake")]
pub fn pretend_change() {
    COUNT.send_modify(|count| *count += 1);
}

/// Hears of changes of the clock: that it was set, or that the host has slept.
pub struct Changes(watch::Receiver<u64>);

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

impl Changes {
    /// Hears of those from now on.
    pub fn new() -> Self {
        Self(COUNT.subscribe())
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Waits until it is this time, whatever happens to the clock meanwhile.
pub async fn until(at: Timestamp) {
    wait(at, Timestamp::now, Changes::new()).await;
}

async fn wait(at: Timestamp, now: impl Fn() -> Timestamp, mut changes: Changes) {
    loop {
        // What is over is negative, and no `Duration`.
        let left = Duration::try_from(at.duration_since(now())).unwrap_or_default();
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = changes.next() => {}
        }
    }
}

/// Counts changes. The kernel cancels a timer when its clock changes, if that was asked for
/// (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`): the next read fails, and after that the
/// timer goes on.
async fn follow(count: &watch::Sender<u64>) -> io::Result<std::convert::Infallible> {
    let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
    let never = Expiration::OneShot(TimeSpec::new(i64::MAX, 0));
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    timer.set(never, flags)?;
    // The descriptor is no pipe, but is waited for and read like one.
    let timer = Receiver::from_owned_fd_unchecked(timer.into())?;
    loop {
        timer.readable().await?;
        match timer.try_read(&mut [0; 8]) {
            Err(error) if error.raw_os_error() == Some(Errno::ECANCELED as i32) => {
                tracing::info!("the clock was set, or the host has slept");
                count.send_modify(|count| *count += 1);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            // There was nothing; or it has expired after all, which is no change.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::Instant;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Waits an hour by a clock that is moved after 60 s; says how long that took.
    async fn takes(moved: Duration, forward: bool) -> Duration {
        let start = Instant::now();
        let began = Timestamp::UNIX_EPOCH + 1_000_000 * HOUR;
        let offset = Cell::new(jiff::SignedDuration::ZERO);
        let now = || began + start.elapsed() + offset.get();
        let (count, changes) = watch::channel(0);
        let wait = wait(began + HOUR, now, Changes(changes));
        let change = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let moved = jiff::SignedDuration::try_from(moved).unwrap();
            offset.set(if forward { moved } else { -moved });
            count.send_modify(|count| *count += 1);
            std::future::pending::<()>().await
        };
        tokio::select! {
            () = wait => start.elapsed(),
            () = change => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_comes_when_the_clock_says_so() {
        let about = |took: Duration| (took.as_secs_f64() / 60.0).round();
        assert_eq!(about(takes(Duration::ZERO, true).await), 60.0);
        assert_eq!(about(takes(HOUR / 2, true).await), 30.0);
        assert_eq!(about(takes(1000 * HOUR, true).await), 1.0);
        assert_eq!(about(takes(2 * HOUR, false).await), 180.0);
    }

    #[tokio::test]
    async fn nothing_is_heard_of_while_the_clock_goes_on() {
        let mut changes = Changes::new();
        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, changes.next()).await.is_err());
    }

    #[tokio::test]
    async fn what_is_over_is_not_waited_for() {
        until(Timestamp::now() - HOUR).await;
        until(Timestamp::now() + Duration::from_millis(20)).await;
    }
}
