//! The open tunnel.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anstream::{eprintln, println};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

use super::assign::{Key, Range, Reached, decide};
use super::follow::{News, follow};
use super::routes::{self, Ways};
use super::state::{Kind, State};
use crate::api::Api;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::Lab;

/// The pause before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// A tunnel of a lab, which nobody else has open.
pub struct Tunnel<'a> {
    lab: &'a Lab,
    api: Api,
    range: Range,
    /// Held as long as it is open.
    _lock: Flock<File>,
    /// What was said of each Service last.
    told: BTreeMap<Key, String>,
}

impl<'a> Tunnel<'a> {
    /// The tunnel of a lab.
    ///
    /// # Errors
    /// If another process has it open.
    pub fn of(lab: &'a Lab) -> Result<Self> {
        let file = lab.folder.join("tunnel.lock");
        let opened = File::options().create(true).append(true).open(&file);
        let opened = opened.or_fail(|| format!("open {}", file.display()))?;
        let lock = Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|_| {
            Failure::new("open the tunnel", "another process has it open already")
                .way_out("end that one with Ctrl-C; a lab has one tunnel for all its Services")
        })?;
        Ok(Self {
            lab,
            api: lab.api(),
            range: Range::of(&lab.plan),
            _lock: lock,
            told: BTreeMap::new(),
        })
    }

    /// Gives addresses until it is told to close, by Ctrl-C or SIGTERM; then takes them back.
    ///
    /// # Errors
    /// If they can't be taken back.
    pub fn run(mut self) -> Result<()> {
        let (sender, news) = channel();
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        // For all threads, so that the one that waits gets them.
        signals.thread_block().or_fail(|| "wait for signals")?;
        let closing = sender.clone();
        thread::spawn(move || {
            if signals.wait().is_ok() {
                // Nobody listens when it is closed already.
                let _ = closing.send(News::Close);
            }
        });
        for kind in Kind::ALL {
            follow(self.lab.api(), kind, sender.clone());
        }
        drop(sender);
        println!(
            "The tunnel gives Services of type LoadBalancer addresses from {}. Ctrl-C closes it.",
            self.range
        );
        self.listen(&news);
        println!("Taking the addresses back.");
        self.close()
    }

    /// Does what the news ask for, until the tunnel is to be closed.
    fn listen(&mut self, news: &Receiver<News>) {
        let mut state = State::default();
        let mut listed: Vec<Kind> = Vec::new();
        let (mut again, mut away) = (false, false);
        loop {
            let next = match again {
                true => news.recv_timeout(AGAIN),
                false => news.recv().map_err(RecvTimeoutError::from),
            };
            // What else has come by now is taken together.
            let all = next
                .into_iter()
                .chain(std::iter::from_fn(|| news.try_recv().ok()));
            for one in all {
                match one {
                    News::Close => return,
                    // All that is followed goes silent at once, and comes back so.
                    News::Trouble(why) if !std::mem::replace(&mut away, true) => {
                        eprintln!("{why}; trying again");
                    }
                    News::Over if std::mem::take(&mut away) => {
                        println!("The apiserver answers again.");
                    }
                    News::Trouble(_) | News::Over => {}
                    News::Changed(kind, object) => state.apply(kind, &object),
                    News::Gone(kind, object) => state.remove(kind, &object),
                    News::Listed(kind, objects) => {
                        state.list(kind, &objects);
                        if !listed.contains(&kind) {
                            listed.push(kind);
                        }
                    }
                }
            }
            if listed.len() < Kind::ALL.len() {
                continue;
            }
            let outcome = self.settle(&state);
            if let Err(failure) = &outcome
                && !again
            {
                eprintln!("{failure}; trying again");
            }
            again = outcome.is_err();
        }
    }

    /// Brings routes and statuses to where they should be.
    fn settle(&mut self, state: &State) -> Result<()> {
        let plan = &self.lab.plan;
        let services = state.services();
        let made = decide(self.range, &services, &state.nodes, &routes::held(plan)?);
        // The way first: who reads the address may use it at once.
        routes::set(plan, &made.routes)?;
        for (key, address) in &made.status {
            self.write(key, *address)?;
        }
        for (key, reached) in &made.services {
            let ports = services.get(key).map(|service| service.ports.join(","));
            let line = line(key, &ports.unwrap_or_default(), reached, state);
            if self.told.get(key) != Some(&line) {
                println!("{line}");
                self.told.insert(key.clone(), line);
                self.record(key, state.uid(key), reached);
            }
        }
        let gone: Vec<Key> = self
            .told
            .keys()
            .filter(|key| !made.services.contains_key(key))
            .cloned()
            .collect();
        for key in gone {
            let name = key.to_string();
            println!("{name:<32} no longer");
            self.told.remove(&key);
        }
        Ok(())
    }

    /// Says in a Service's status where it is reached.
    fn write(&self, key: &Key, address: Option<Ipv4Addr>) -> Result<()> {
        let entry = |ip: Ipv4Addr| json!({"ip": ip.to_string(), "ipMode": "VIP"});
        let entries: Vec<Value> = address.map(entry).into_iter().collect();
        let Key { namespace, name } = key;
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}/status");
        let patch = json!({"status": {"loadBalancer": {"ingress": entries}}});
        // One that is gone meanwhile needs none.
        self.api.patch(&path, &patch).map(drop)
    }

    /// Tells who looks at the Service. That this fails is no reason to stop.
    fn record(&self, key: &Key, uid: &str, reached: &Reached) {
        let (kind, reason, message) = match reached {
            Reached::At(ip, _) => (
                "Normal",
                "EnsuredLoadBalancer",
                format!("The tunnel gives it the address {ip}"),
            ),
            Reached::Nowhere(ip) => (
                "Warning",
                "UnAvailableLoadBalancer",
                format!("No node can be sent the packets for {ip}"),
            ),
            Reached::Refused(why) => (
                "Warning",
                "SyncLoadBalancerFailed",
                format!("No address: {why}"),
            ),
        };
        let now = jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let Key { namespace, name } = key;
        let about = json!({"apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": name, "uid": uid});
        let event = json!({"apiVersion": "v1", "kind": "Event",
            "metadata": {"generateName": format!("{name}."), "namespace": namespace},
            "involvedObject": about, "type": kind, "reason": reason, "message": message,
            "source": {"component": "hardway-tunnel"}, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now});
        let path = format!("/api/v1/namespaces/{namespace}/events");
        if let Err(failure) = self.api.create(&path, &event) {
            eprintln!("{failure}");
        }
    }

    /// Takes all addresses back, of this tunnel and of those that ended otherwise.
    ///
    /// # Errors
    /// If something stays.
    pub fn close(&self) -> Result<()> {
        let routes = routes::set(&self.lab.plan, &Ways::new());
        let statuses = self.take_back();
        routes.and(statuses).map_err(|failure| {
            failure
                .way_out("when the cluster answers, take the rest back:  hardway tunnel --cleanup")
        })
    }

    fn take_back(&self) -> Result<()> {
        let list = self.api.get(Kind::Services.path())?.unwrap_or_default();
        let mut state = State::default();
        state.list(
            Kind::Services,
            list["items"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default(),
        );
        let services = state.services();
        let ours = services
            .iter()
            .filter(|(_, service)| service.given.iter().any(|ip| self.range.contains(*ip)));
        let outcomes: Vec<_> = ours.map(|(key, _)| self.write(key, None)).collect();
        outcomes.into_iter().collect()
    }
}

/// A line about a Service.
fn line(key: &Key, ports: &str, reached: &Reached, state: &State) -> String {
    let key = key.to_string();
    match reached {
        Reached::At(ip, node) => {
            let mut nodes = state.nodes.iter();
            let named = nodes.find(|(_, other)| other.address == *node);
            let node = named.map_or_else(|| node.to_string(), |(name, _)| name.clone());
            format!("{key:<32} {ip:<15} {ports:<16} through {node}")
        }
        Reached::Nowhere(ip) => {
            format!("{key:<32} {ip:<15} {ports:<16} no node can be sent its packets")
        }
        Reached::Refused(why) => format!("{key:<32} no address: {why}"),
    }
}
