//! What a pod is given at a time: a burst of requests waits here, and not as thousands of
//! connections at a pod that can't take them.

use futures_util::future::select_ok;
use hardway_client::turns::{Full, Turn, Turns};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What an endpoint is given at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many requests and WebSockets at the same time; as many more may wait.
    pub at_once: usize,
    /// So many all endpoints are given together: each costs a descriptor.
    pub in_all: usize,
    /// So long one waits.
    pub wait: Duration,
}

/// A place at an endpoint, until nobody has this any more.
#[derive(Clone)]
pub struct Place {
    _turn: Arc<Turn<SocketAddr>>,
    _descriptor: Arc<OwnedSemaphorePermit>,
}

/// All endpoints are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("takes no more at the time")]
pub struct Busy;

/// The places at all endpoints.
pub struct EndpointTurns {
    turns: Arc<Turns<SocketAddr>>,
    descriptors: Arc<Semaphore>,
    wait: Duration,
}

impl EndpointTurns {
    /// All are free.
    pub fn new(limits: Limits) -> Self {
        Self {
            turns: Turns::new(limits.at_once, limits.at_once),
            descriptors: Arc::new(Semaphore::new(limits.in_all)),
            wait: limits.wait,
        }
    }

    /// A place at the first of these that has one; where none has, at whichever has one first.
    ///
    /// # Errors
    /// If none has one in time, or too many wait already.
    pub async fn take(&self, addresses: &[SocketAddr]) -> Result<(SocketAddr, Place), Busy> {
        let free = |address: &SocketAddr| Some((*address, self.turns.try_take(address)?));
        if let Some((address, turn)) = addresses.iter().find_map(free) {
            return Ok((address, self.place(turn)?));
        }
        if addresses.is_empty() {
            return Err(Busy);
        }
        let waiting = addresses.iter().map(|address| {
            Box::pin(async move { Ok::<_, Full>((*address, self.turns.take(address).await?)) })
        });
        let first = timeout(self.wait, select_ok(waiting)).await;
        let ((address, turn), _others) = first.map_err(|_| Busy)?.map_err(|_| Busy)?;
        Ok((address, self.place(turn)?))
    }

    /// The place of somebody whose turn it is. For a descriptor nobody waits: that would be
    /// behind those of other endpoints.
    fn place(&self, turn: Turn<SocketAddr>) -> Result<Place, Busy> {
        let descriptor = self.descriptors.clone().try_acquire_owned();
        Ok(Place {
            _turn: Arc::new(turn),
            _descriptor: Arc::new(descriptor.map_err(|_| Busy)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::time::Instant;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_all_endpoints_busy_waits_for_the_first_and_not_for_ever() {
        let limits = Limits {
            at_once: 1,
            in_all: 2,
            wait: Duration::from_secs(5),
        };
        let turns = EndpointTurns::new(limits);
        let both = [address(1), address(2)];
        let (first, one) = turns.take(&both).await.unwrap();
        let (second, two) = turns.take(&both).await.unwrap();
        assert_eq!([first, second], both, "the next has a place");
        let began = Instant::now();
        assert!(turns.take(&both).await.is_err());
        assert_eq!(began.elapsed(), limits.wait);
        let mut waiting = Box::pin(turns.take(&both));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(two);
        let (address, _two) = waiting.await.unwrap();
        assert_eq!(address, second);
        // Those that wait are bounded as well.
        let mut third = Box::pin(turns.take(&both));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(turns.take(&both).now_or_never().unwrap().is_err());
        drop((one, third));
    }

    #[tokio::test]
    async fn all_endpoints_together_are_given_no_more_than_there_are_descriptors() {
        let turns = EndpointTurns::new(Limits {
            at_once: 8,
            in_all: 1,
            wait: Duration::from_secs(5),
        });
        let place = turns.take(&[address(1)]).await.unwrap();
        let other = turns.take(&[address(2)]).now_or_never();
        assert!(other.unwrap().is_err(), "nobody waits for other endpoints");
        drop(place);
        assert!(turns.take(&[address(2)]).await.is_ok());
    }
}
