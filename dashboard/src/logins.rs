//! Turns of those who log in. Nobody has proven anything by then, and each of them has the API
//! server asked: strangers get a few turns at a time, and an address its share of them, so that
//! whoever floods from one place is waited for by no other.

use crate::failure::Failure;
use hardway_client::turns::{Full, Turn as OfSource, Turns};
use http::StatusCode;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many may log in at once.
const AT_ONCE: usize = 16;
/// How many of these from one place, and how many more from there may wait.
const OF_SOURCE: (usize, usize) = (2, 16);
/// How long somebody who logs in waits for others who do.
const WAIT: Duration = Duration::from_secs(10);

/// From where a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// Whoever has one address of IPv6 has the others of its network (RFC 4291, 2.5.4).
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }
}

/// Turns of those who log in.
pub struct Logins {
    all: Semaphore,
    of_source: Arc<Turns<Source>>,
}

/// A turn to ask the API server about a token, until this is dropped.
pub struct Turn<'a> {
    _of_source: OfSource<Source>,
    _of_all: SemaphorePermit<'a>,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            all: Semaphore::new(AT_ONCE),
            of_source: Turns::new(OF_SOURCE.0, OF_SOURCE.1),
        }
    }
}

impl Logins {
    /// Waits for a turn, but not for long.
    ///
    /// # Errors
    /// 429 if too many log in.
    pub async fn turn(&self, source: Source) -> Result<Turn<'_>, Failure> {
        let turn = tokio::time::timeout(WAIT, async {
            // One place never has more than its share among those who wait for all.
            let of_source = self.of_source.take(&source).await?;
            let of_all = self.all.acquire().await.map_err(|_| Full)?;
            Ok::<_, Full>(Turn {
                _of_source: of_source,
                _of_all: of_all,
            })
        });
        turn.await.ok().and_then(Result::ok).ok_or_else(|| {
            let message = "too many log in at once: try again in a moment";
            Failure::new(StatusCode::TOO_MANY_REQUESTS, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([10, 0, 0, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_flood_from_elsewhere() {
        let logins = Logins::default();
        let mut flood = Vec::new();
        for _ in 0..OF_SOURCE.0 {
            flood.push(logins.turn(source(1)).await.unwrap());
        }
        let mut waiting = Vec::new();
        for _ in 0..OF_SOURCE.1 {
            let mut next = Box::pin(logins.turn(source(1)));
            assert!(next.as_mut().now_or_never().is_none());
            waiting.push(next);
        }
        let one_more = logins.turn(source(1)).now_or_never();
        let refused = one_more.unwrap().err().unwrap();
        assert_eq!(refused.code(), StatusCode::TOO_MANY_REQUESTS);
        assert!(logins.turn(source(2)).now_or_never().unwrap().is_ok());
        // Theirs is nobody's turn for ever.
        let late = waiting.pop().unwrap().await.err().unwrap();
        assert_eq!(late.code(), StatusCode::TOO_MANY_REQUESTS);
        drop(waiting);
        flood.pop();
        assert!(logins.turn(source(1)).await.is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_place() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), source(1));
        assert_ne!(source(1), source(2));
    }
}
