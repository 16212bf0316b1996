//! Whether the clocks of this host and of a server agree: leases, tokens and certificates are
//! good by both.

use crate::metrics::{IntGaugeVec, register_int_gauge_vec};
use http::{HeaderMap, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use parking_lot::Mutex;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// What is told: more than a slow answer and the header's full seconds come to.
const MUCH: i64 = 5;
/// How often it is looked at, and told.
const LOOK: Duration = Duration::from_secs(30);

static SKEW: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "hardway_clock_skew_seconds",
        "By how much the clock of this host is ahead of a server's, in full seconds.",
        &["server"]
    )
    .expect("the name is registered once")
});

/// When it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Skew(Mutex<Option<Instant>>);

impl Skew {
    /// Looks at an answer of a server, if it is time.
    pub(super) fn look(&self, server: &super::Server, headers: &HeaderMap) {
        {
            let mut looked = self.0.lock();
            if looked.is_some_and(|at| at.elapsed() < LOOK) {
                return;
            }
            *looked = Some(Instant::now());
        }
        let Some(ahead) = ahead(headers, Timestamp::now()) else {
            return;
        };
        SKEW.with_label_values(&[&server.to_string()]).set(ahead);
        if ahead.abs() > MUCH {
            tracing::warn!(
                %server,
                seconds = ahead,
                "the clock of this host is ahead of the server's (behind, if negative): leases and \
                 tokens suffer from it; have both set by NTP"
            );
        }
    }
}

/// By how many seconds the clock here is ahead of the one that an answer's `Date` is by.
fn ahead(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let there = rfc2822::parse(date).ok()?.timestamp();
    // The header has full seconds.
    let here = Timestamp::from_second(now.as_second()).ok()?;
    Some(here.duration_since(there).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_compared() {
        let now: Timestamp = "1994-11-06T08:49:47.9Z".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(ahead(&headers, now), None);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap();
        headers.insert(header::DATE, date);
        assert_eq!(ahead(&headers, now), Some(10));
        headers.insert(header::DATE, "yesterday".parse().unwrap());
        assert_eq!(ahead(&headers, now), None);
    }
}
