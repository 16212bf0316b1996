//! Visitors who come all the time, note which version answered, and count who was
//! turned away.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::terminal::visit_port;
use crate::failure::{Failure, Result};

/// So long does the visitor rest between two visits.
const REST: Duration = Duration::from_millis(20);
/// So many equal answers in a row mean that one version alone answers.
const SETTLED: usize = 20;

/// Visitors in the background, until they are dropped.
#[derive(Debug)]
pub struct Visitors {
    seen: Arc<Mutex<Seen>>,
    visitor: Option<JoinHandle<()>>,
}

/// What visitors have seen.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    over: bool,
    answered: usize,
    turned_away: Vec<String>,
    /// Versions with the number of answers in a row.
    runs: Vec<(String, usize)>,
}

impl Seen {
    fn note(&mut self, page: &Result<String>) {
        match page {
            Ok(page) => {
                self.answered += 1;
                let version = page.lines().find_map(|line| line.strip_prefix("VERSION: "));
                let version = version.unwrap_or("unknown");
                match self.runs.last_mut() {
                    Some((last, count)) if last == version => *count += 1,
                    _ => self.runs.push((version.to_owned(), 1)),
                }
            }
            Err(failure) => self.turned_away.push(failure.to_string()),
        }
    }

    /// The version that alone has answered lately.
    pub fn settled_on(&self) -> Option<&str> {
        let (version, count) = self.runs.last()?;
        (*count >= SETTLED).then_some(version)
    }

    /// The versions that answered alone for a while, in order.
    pub fn story(&self) -> Vec<&str> {
        let long = self.runs.iter().filter(|(_, count)| *count >= SETTLED);
        let mut story: Vec<&str> = long.map(|(version, _)| version.as_str()).collect();
        story.dedup();
        story
    }

    /// How many came, and that none of them was turned away.
    pub fn flawless(&self) -> Result<String> {
        let told = format!(
            "{} requests, {} failed",
            self.answered + self.turned_away.len(),
            self.turned_away.len()
        );
        match self.turned_away.first() {
            None if self.answered > 0 => Ok(told),
            None => Err(Failure::new("loop through the NodePort", "nobody came")),
            Some(first) => Err(Failure::new(told, format!("the first: {first}"))),
        }
    }
}

impl Visitors {
    /// Visits a port of the hosts in turn.
    pub fn start(hosts: Vec<Ipv4Addr>, port: u16) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = Arc::clone(&seen);
        let visitor = std::thread::spawn(move || {
            for host in hosts.into_iter().cycle() {
                let page = visit_port(host, port);
                let mut seen = lock(&noted);
                if seen.over {
                    break;
                }
                seen.note(&page);
                drop(seen);
                std::thread::sleep(REST);
            }
        });
        Self {
            seen,
            visitor: Some(visitor),
        }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        lock(&self.seen).over = true;
        if let Some(visitor) = self.visitor.take() {
            // It ends after its visit; if it panicked, that was told already.
            drop(visitor.join());
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_leaves_out_what_is_mixed() {
        let mut seen = Seen::default();
        let mut answer = |version: &str, times: usize| {
            for _ in 0..times {
                seen.note(&Ok(format!("VERSION: {version}\nHOSTNAME: x\n")));
            }
        };
        answer("1", 30);
        answer("2", 3);
        answer("1", 25);
        answer("2", 19);
        answer("1", 1);
        answer("2", 20);
        assert_eq!(seen.story(), ["1", "2"]);
        assert_eq!(seen.settled_on(), Some("2"));
        assert_eq!(seen.flawless().unwrap(), "98 requests, 0 failed");
        seen.note(&Err(Failure::new("GET", "refused")));
        let failure = seen.flawless().unwrap_err();
        assert_eq!(
            failure.to_string(),
            "99 requests, 1 failed: the first: GET: refused"
        );
    }
}
