//! Visitors that come all the time and count who was turned away.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{http, until, wait};

/// Visits an address once.
pub fn visit(address: &str) -> Result<(), String> {
    let answer = http::get(address, "/");
    match answer {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{address}: {other:?}")),
    }
}

/// Visitors in the background, until they are dropped.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    visitor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    answered: AtomicUsize,
    turned_away: Mutex<Vec<String>>,
}

impl Traffic {
    /// Visits the addresses in turn.
    pub fn start(addresses: Vec<String>) -> Self {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let visitor = std::thread::spawn(move || {
            for address in addresses.iter().cycle() {
                if seen.over.load(Ordering::Relaxed) {
                    break;
                }
                match visit(address) {
                    Ok(()) => drop(seen.answered.fetch_add(1, Ordering::Relaxed)),
                    Err(why) => seen
                        .turned_away
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(why),
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self {
            shared,
            visitor: Some(visitor),
        }
    }

    /// Waits until so many more visitors were answered.
    pub fn wait_for(&self, more: usize) {
        let enough = self.shared.answered.load(Ordering::Relaxed) + more;
        until("visitors are answered", || {
            let answered = self.shared.answered.load(Ordering::Relaxed);
            wait::holds(answered >= enough, answered)
        });
    }

    /// Fails if anybody was turned away.
    pub fn assert_flawless(mut self) {
        self.stop();
        let turned_away = self
            .shared
            .turned_away
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let answered = self.shared.answered.load(Ordering::Relaxed);
        assert!(
            turned_away.is_empty(),
            "{} visitors were turned away, {answered} answered: {turned_away:#?}",
            turned_away.len()
        );
    }

    fn stop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(visitor) = self.visitor.take() {
            drop(visitor.join());
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop();
    }
}
