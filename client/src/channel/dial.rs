//! Trying several servers: the next one gets its chance when one fails, or takes long.

use super::server::Server;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::time::Duration;

/// A server that has not answered within this is not waited for alone.
const HEAD_START: Duration = Duration::from_millis(200);

/// What the first server that can be had gives; if there is none, what each of them failed with.
/// Those that are still being tried then are given up.
///
/// # Errors
/// If all fail.
pub(super) async fn first<T, E, F: Future<Output = Result<T, E>>>(
    servers: Vec<Server>,
    attempt: impl Fn(Server) -> F,
) -> Result<T, Vec<(Server, E)>> {
    let mut servers = servers.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        let next = servers.next();
        let are_more = next.is_some();
        if let Some(server) = next {
            let outcome = attempt(server.clone());
            trying.push(async move { (server, outcome.await) });
        }
        let pause = match are_more {
            true => HEAD_START,
            false => Duration::MAX,
        };
        match tokio::time::timeout(pause, trying.next()).await {
            Ok(Some((_, Ok(found)))) => return Ok(found),
            Ok(Some((server, Err(error)))) => failures.push((server, error)),
            Ok(None) => return Err(failures),
            // The next one has its chance as well.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use tokio::time::{Instant, sleep};

    fn servers(count: u16) -> Vec<Server> {
        let server = |port| Server::of_url(&format!("https://a:{port}")).unwrap();
        (1..=count).map(server).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_costs_its_head_start() {
        let began = Instant::now();
        let found = first(servers(3), async |server: Server| {
            if server.port < 3 {
                sleep(Duration::from_secs(3)).await;
                return Err("late");
            }
            Ok(server.port)
        });
        assert_eq!(found.await, Ok(3));
        assert_eq!(began.elapsed(), HEAD_START * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_refuses_costs_nothing_and_one_that_is_slow_may_still_win() {
        let began = Instant::now();
        let tried = Mutex::new(Vec::new());
        let found = first(servers(3), async |server: Server| {
            tried.lock().push(server.port);
            match server.port {
                1 => Err("refused"),
                2 => {
                    sleep(HEAD_START + Duration::from_millis(50)).await;
                    Ok(2)
                }
                _ => {
                    sleep(Duration::from_secs(3)).await;
                    Ok(3)
                }
            }
        });
        assert_eq!(found.await, Ok(2));
        assert_eq!(*tried.lock(), [1, 2, 3]);
        assert_eq!(began.elapsed(), HEAD_START + Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn each_says_why_not() {
        let found = first(servers(2), async |server: Server| Err::<(), _>(server.port)).await;
        let why: Vec<u16> = found
            .unwrap_err()
            .into_iter()
            .map(|(_, port)| port)
            .collect();
        assert_eq!(why, [1, 2]);
        let none = first(Vec::new(), async |_: Server| Err::<(), ()>(())).await;
        assert_eq!(none, Err(Vec::new()));
    }
}
