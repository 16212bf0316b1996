//! What all processes do, for who follows it (`hardway follow`).
//!
//! The apiserver adds its own steps as they happen, those of each request that writes
//! ([`story`](crate::pipeline)). The other processes hand theirs in over gRPC while somebody
//! reads ([`reporters`]); people read them as lines of JSON at [`PATH`] ([`reader`]).
//!
//! All that is kept is the newest steps ([`rings`]). A reader is a place in them, as a watcher
//! is in the watch cache's history: who falls behind is told how many steps were missed.

mod hosts;
mod line;
mod pods;
mod reader;
mod reporters;
mod rings;

pub use reader::{Filter, Reader};
pub use reporters::Reporter;

use hardway_client::steps::Step;
use hardway_proto::api;
use hosts::Hosts;
use parking_lot::Mutex;
use reporters::Reporters;
use rings::{Rings, Share};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Where people read steps. Who may is said by RBAC, as for any path that is no resource.
pub const PATH: &str = "/debug/hardway/steps";

/// A step, and whose it is.
#[derive(Debug)]
struct Told {
    process: &'static str,
    host: Arc<str>,
    step: api::Step,
}

/// The newest steps of all processes.
pub struct Steps {
    /// Where this process runs, …
    host: Arc<str>,
    /// … and the address of that.
    address: IpAddr,
    rings: Mutex<Rings>,
    reporters: Mutex<Reporters>,
    hosts: Hosts,
    /// Changes with every step, and with whatever else readers wait for.
    news: watch::Sender<()>,
    /// How many read.
    readers: watch::Sender<usize>,
    stopped: AtomicBool,
}

impl Steps {
    /// None yet, of an apiserver that others know by this address.
    pub fn new(address: IpAddr) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
        Self {
            host: host.as_deref().map_or("", str::trim).into(),
            address,
            rings: Mutex::new(Rings::new()),
            reporters: Mutex::default(),
            hosts: Hosts::default(),
            news: watch::Sender::new(()),
            readers: watch::Sender::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// The name of the host with that address, if it is this one.
    fn own_host(&self, address: IpAddr) -> Option<Arc<str>> {
        let is_here = address == self.address || address.is_loopback();
        is_here.then(|| self.host.clone())
    }

    /// Adds steps of the apiserver itself, for a request that was let in.
    pub fn record(&self, steps: impl Iterator<Item = Step>) {
        self.add(Share::Own, self.told(steps));
    }

    /// The same, for one that was refused. They displace one another alone, for whoever is
    /// refused may come again as often as they like.
    pub fn record_refused(&self, steps: impl Iterator<Item = Step>) {
        self.add(Share::Refused, self.told(steps));
    }

    fn told(&self, steps: impl Iterator<Item = Step>) -> impl Iterator<Item = Told> {
        steps.map(|step| Told {
            process: "apiserver",
            host: self.host.clone(),
            step: step.into_message(),
        })
    }

    fn add(&self, share: Share, told: impl Iterator<Item = Told>) {
        // Steps are made before the lock is taken.
        let told: Vec<_> = told.map(rings::sized).collect();
        {
            let mut rings = self.rings.lock();
            for (told, size) in told {
                rings.push(share, told, size);
            }
        }
        self.wake();
    }

    /// Wakes those who read.
    fn wake(&self) {
        if self.news.receiver_count() > 0 {
            self.news.send_replace(());
        }
    }

    /// Ends all that is read and reported: the server stops.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.readers.send_modify(|_| ());
        self.wake();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// Somebody reads, until this is dropped.
struct Reading(Arc<Steps>);

impl Reading {
    fn begin(steps: &Arc<Steps>) -> Self {
        if *steps.readers.borrow() == 0 {
            steps.reporters.lock().expect_all();
        }
        steps.readers.send_modify(|readers| *readers += 1);
        Self(steps.clone())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.readers.send_modify(|readers| *readers -= 1);
    }
}
