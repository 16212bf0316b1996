//! One size after the other: nodes come, then they are looked at while nothing happens but
//! what always does.

use super::cluster::Cluster;
use super::model::{Load, Model, Point};
use super::tally::{Counts, Tally};
use super::{Simulation, World, change, descriptors, kubelet, objects, proxy};
use crate::api::Api;
use crate::failure::Failure;
use crate::measure::Measuring;
use crate::process::{Cost, Sampler, Watched};
use crate::progress::Progress;
use crate::reference::{Binaries, Side};
use crate::report::Measurement;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long an idle server is looked at.
const IDLE: Duration = Duration::from_secs(10);
/// How long all watches may take until they stand.
const PATIENCE: Duration = Duration::from_secs(600);
/// Nodes that come at the same time.
const DOOR: usize = 32;
/// Connections of all proxies, which are one user: a hardway-apiserver takes an eighth of its
/// descriptors from one, and 4,096 at most. Beyond that some have one together.
const PROXY_CONNECTIONS: u64 = 2000;
/// The measurements' name in reports.
const WORKLOAD: &str = "simulate";

/// Simulates clusters of all sizes; what was measured.
///
/// # Errors
/// If the API server can't be started, or gives up under way.
pub async fn run(options: &Simulation, progress: Progress) -> Result<Vec<Measurement>, Failure> {
    let largest = options.nodes.last().map_or(0, |nodes| nodes.get());
    descriptors::allow(largest + largest.min(PROXY_CONNECTIONS))?;
    let binaries = Binaries::find(&options.binaries)?;
    let side = Side::start(&binaries).await?;
    let mut watched = side.sampler().watched().to_vec();
    watched.push(Watched {
        name: "this tool".into(),
        pid: std::process::id(),
    });
    let admin = Api::new(Arc::new(side.target().await?));
    let cluster = Cluster::new(admin.clone(), options, progress);
    let world = Arc::new(World {
        tally: Tally::default(),
        door: Semaphore::new(DOOR),
        slices: cluster.prepare().await?,
    });
    let sampler = Sampler::new(watched);
    let mut simulated = Simulated {
        options,
        progress,
        sampler,
        side,
        cluster,
        world,
        admin,
        parts: JoinSet::new(),
        proxies: Vec::new(),
        nodes: 0,
    };
    simulated.all_sizes().await
}

/// A cluster that grows. Its nodes end with the value.
struct Simulated<'a> {
    options: &'a Simulation,
    progress: Progress,
    sampler: Sampler,
    parts: JoinSet<()>,
    side: Side,
    cluster: Cluster<'a>,
    world: Arc<World>,
    admin: Api,
    /// The proxies' connections.
    proxies: Vec<Api>,
    /// How many there are.
    nodes: u64,
}

impl Simulated<'_> {
    async fn all_sizes(&mut self) -> Result<Vec<Measurement>, Failure> {
        let idle = self.idle().await;
        let mut measurements = vec![idle.clone()];
        let idle = apiserver(&idle).map_or(0.0, Cost::cpu_share);
        let mut points = Vec::new();
        let mut foretold = None;
        for nodes in &self.options.nodes {
            measurements.push(self.grow(nodes.get()).await?);
            let (mut steady, load) = self.steady().await?;
            if let Some(point) = point(nodes.get(), &steady, load) {
                if let Some(model) = &foretold {
                    tell(&mut steady, &point, model);
                }
                points.push(point);
                if let [small, large] = &points[..] {
                    foretold = Model::fit(idle, small, large);
                    costs(&mut steady, foretold.as_ref());
                }
            }
            measurements.push(steady);
        }
        Ok(measurements)
    }

    /// Begins to measure something that is to be done so many times.
    fn begin(&self, name: String, total: u64) -> Arc<Measuring> {
        let bar = self.progress.bar(&name, total);
        Arc::new(Measuring::begin(WORKLOAD, name, self.sampler.clone(), bar))
    }

    /// The server with nobody there.
    async fn idle(&self) -> Measurement {
        let measuring = self.begin("nobody there".into(), 0);
        tokio::time::sleep(IDLE).await;
        measuring.finish()
    }

    /// Makes nodes until there are so many, and has their kubelets and proxies come, until
    /// all their watches stand.
    async fn grow(&mut self, nodes: u64) -> Result<Measurement, Failure> {
        let new = self.nodes..nodes;
        self.cluster.add(new.clone()).await?;
        let mut apis = Vec::new();
        for number in new.clone() {
            let name = objects::node_name(number);
            let kubelet = format!("system:node:{name}");
            let kubelet = self.side.target_of(&kubelet, &["system:nodes"]).await?;
            if number < PROXY_CONNECTIONS {
                let proxy = self.side.target_of(proxy::USER, &[]).await?;
                self.proxies.push(Api::new(Arc::new(proxy)));
            }
            let shared = number as usize % self.proxies.len().max(1);
            if let Some(proxy) = self.proxies.get(shared) {
                apis.push((number, Api::new(Arc::new(kubelet)), proxy.clone()));
            }
        }
        let measuring = self.begin(format!("{} nodes come", apis.len()), 0);
        self.world.tally.measure(Some(measuring.clone()));
        for (number, kubelet, proxy) in apis {
            let world = self.world.clone();
            self.parts
                .spawn(kubelet::run(kubelet, number, world.clone()));
            self.parts.spawn(proxy::run(proxy, number, world));
        }
        let watches = nodes * (kubelet::WATCHES + proxy::WATCHES);
        let outcome = self.until_standing(watches).await;
        self.world.tally.measure(None);
        measuring.figure("watches", self.world.tally.standing() as f64);
        outcome?;
        self.nodes = nodes;
        Ok(measuring.finish())
    }

    async fn until_standing(&mut self, watches: u64) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let standing = self.world.tally.standing();
            if standing >= watches {
                return Ok(());
            }
            self.side.check()?;
            if Instant::now() > deadline {
                let why = format!("{standing} of {watches} stand after {PATIENCE:?}");
                let way_out = "try fewer nodes; the failures say what was refused";
                return Err(Failure::new("wait until all watches stand", why, way_out));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Measures while nothing happens but what always does.
    async fn steady(&mut self) -> Result<(Measurement, Load), Failure> {
        let thousands = self.nodes as f64 / 1000.0;
        let mut changes = JoinSet::new();
        let rate = self.options.endpoint_changes * thousands;
        if rate > 0.0 {
            let services = self.options.services.get();
            let (api, world) = (self.admin.fresh(), self.world.clone());
            changes.spawn(change::endpoints(api, rate, services, world));
        }
        let rate = self.options.pod_starts * thousands;
        if rate > 0.0 {
            let (api, world) = (self.admin.fresh(), self.world.clone());
            changes.spawn(change::pods(api, rate, self.nodes, world));
        }
        // Until everybody has renewed once, and what came has gone for the first time.
        tokio::time::sleep(IDLE).await;
        let seconds = u64::from(self.options.seconds.get());
        let measuring = self.begin(format!("{} nodes, leases", self.nodes), 0);
        let before = self.world.tally.counts();
        self.world.tally.measure(Some(measuring.clone()));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.world.tally.measure(None);
        let load = load(before, self.world.tally.counts(), measuring.elapsed());
        self.side.check()?;
        measuring.figure("nodes", self.nodes as f64);
        measuring.figure("watches", self.world.tally.standing() as f64);
        measuring.figure("writes/s", load.writes);
        measuring.figure("events/s", load.events);
        Ok((measuring.finish(), load))
    }
}

fn load(before: Counts, after: Counts, time: Duration) -> Load {
    let a_second = |before: u64, after: u64| (after - before) as f64 / time.as_secs_f64();
    Load {
        writes: a_second(before.writes, after.writes),
        events: a_second(before.events, after.events),
    }
}

/// The API server's costs in a measurement.
fn apiserver(measurement: &Measurement) -> Option<&Cost> {
    let mut costs = measurement.processes.iter();
    costs.find(|cost| cost.process == "apiserver")
}

fn point(nodes: u64, measurement: &Measurement, load: Load) -> Option<Point> {
    let cost = apiserver(measurement)?;
    Some(Point {
        nodes: nodes as f64,
        load,
        cpu: cost.cpu_share(),
        memory: cost.resident as f64,
    })
}

/// Bytes in a MiB.
const MIB: f64 = 1024.0 * 1024.0;

/// Says what was foretold beside what was measured.
fn tell(measurement: &mut Measurement, point: &Point, model: &Model) {
    let figures = [
        ("apiserver CPU, of a core", point.cpu),
        ("apiserver CPU, foretold", model.cpu(&point.load)),
        ("apiserver MiB", point.memory / MIB),
        ("apiserver MiB, foretold", model.memory(point.nodes) / MIB),
    ];
    let figures = figures.map(|(name, value)| (name.to_owned(), value));
    measurement.figures.extend(figures);
}

/// Says which costs the first two sizes have.
fn costs(measurement: &mut Measurement, model: Option<&Model>) {
    let Some(model) = model else {
        let note = "the first two sizes don't tell what writes and events cost";
        measurement.notes.push(note.into());
        return;
    };
    let figures = [
        ("µs of CPU for a write", model.write * 1e6),
        ("µs of CPU for an event", model.event * 1e6),
        ("KiB for a node", model.node / 1024.0),
    ];
    let figures = figures.map(|(name, value)| (name.to_owned(), value));
    measurement.figures.extend(figures);
}
