//! Puts the modules together and runs them.

use crate::allocation::Allocations;
use crate::cgroups::Cgroups;
use crate::context::Context;
use crate::cri;
use crate::downward;
use crate::eviction::threshold::Threshold;
use crate::eviction::{self, NodePressure};
use crate::flags::{self, Flags};
use crate::images::gc::Collector;
use crate::images::{self, Puller};
use crate::logs::Rotator;
use crate::manager::{Event, Manager, Pods};
use crate::node::machine::{self, Machine, Usage};
use crate::node::{self, Registration};
use crate::objects::{Cluster, Objects};
use crate::root_dir::{self, RootDir};
use crate::sandbox::Places;
use crate::seccomp::Seccomp;
use crate::server::Server;
use crate::shutdown::{Periods, Shutdown};
use crate::status::writer::Writer;
use crate::volumes::csi::csi_node::Announcer;
use crate::volumes::csi::registration::Registrar;
use crate::volumes::csi::{Csi, Drivers, OwnNode};
use crate::{
    apparmor, certificates, cluster_ca, dns, kernel, leftovers, mirrors, pleg, probes,
    requirements, shutdown, static_pods, sysctls, volumes,
};
use hardway_client::api::Client;
use hardway_client::events::Recorder;
use hardway_client::health::Checks;
use hardway_client::informer::Informer;
use hardway_client::queue::WorkQueue;
use hardway_client::{Store, expiry, host, signals, task, watchdog};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Node, Pod};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How often images that nobody uses are looked for.
const IMAGE_COLLECTION: Duration = Duration::from_secs(300);

/// Why the kubelet can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, a certificate or a port.
    #[error(transparent)]
    Flags(#[from] hardway_client::flags::Error),
    /// A flag of the kubelet's own.
    #[error("{0}")]
    Flag(String),
    /// The kubelet's directory isn't this node's.
    #[error("--root-dir: {0}")]
    RootDir(#[from] root_dir::Error),
    /// The kernel isn't set as the kubelet counts on.
    #[error("--protect-kernel-defaults: {}", .0.join("; "))]
    Kernel(Vec<String>),
    /// A directory or the host's name.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A task that the kubelet cannot do without.
    #[error(transparent)]
    Task(#[from] task::Failure),
}

/// What the flags say about this node.
async fn registration(
    flags: &Flags,
    name: String,
    thresholds: Vec<Threshold>,
) -> Result<Registration, Error> {
    let ip = match flags.node_ip {
        Some(ip) => ip,
        None => {
            let config = flags.common.kubeconfig()?;
            let server = config.servers.first().cloned().unwrap_or_default();
            node::own_ip(&server).await?
        }
    };
    let facts = node::status::Facts {
        machine: Machine::look(),
        usage: Usage::look(&flags.root_dir),
        name,
        ips: vec![ip.to_string()],
        port: port(flags),
        max_pods: flags.max_pods,
        reserved: flags.reserved(),
        thresholds,
        huge_pages: machine::huge_pages(),
        ..Default::default()
    };
    Ok(Registration {
        facts,
        labels: node::parse_labels(&flags.node_labels).map_err(Error::Flag)?,
        taints: node::parse_taints(&flags.register_with_taints).map_err(Error::Flag)?,
        root: flags.root_dir.clone(),
    })
}

fn port(flags: &Flags) -> u16 {
    match flags.common.secure_port {
        0 => flags::PORT,
        port => port,
    }
}

/// Runs until the process is told to stop. Pods go on without us.
pub async fn run(flags: Flags) -> Result<(), Error> {
    watchdog::start()?;
    let periods = shutdown::periods(&flags).map_err(Error::Flag)?;
    let thresholds = flags.thresholds().map_err(Error::Flag)?;
    let image_policy = flags.image_policy().map_err(Error::Flag)?;
    let name = flags.node_name()?;
    let (serving, subject) = watch::channel(None);
    let key = certificates::serving(&flags, subject).map_err(Error::Flag)?;
    certificates::join(&flags, &name).await;
    let registration = registration(&flags, name, thresholds).await?;
    let setup = setup(&flags, &registration)?;
    let client = flags.common.client("kubelet")?;
    let address = SocketAddr::new(flags.common.bind_address, port(&flags));
    let listener = hardway_client::health::bind(address).await?;
    let client_ca = flags.common.client_ca();
    expiry::watch(expiry::Use::Serving, &key.certificate);
    let tls = hardway_client::tls::server(key, &client_ca, false, &["http/1.1"])
        .map_err(hardway_client::flags::Error::Tls)?;
    let runtime: cri::Handle = Arc::new(cri::Client::connect(&flags.container_runtime_endpoint));
    let name = registration.facts.name.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "the manager sends to itself and must not wait for itself; all else is a message for each change of a pod of this node"
    )]
    let (events, inbox) = mpsc::unbounded_channel();
    let (changes, changed) = watch::channel(());
    let on_node = events.clone();
    let node = Informer::new(client.all::<Node>())
        .fields(format!("metadata.name={name}"))
        .on_change(move |change| {
            changes.send_replace(());
            // Nobody listens any more when the process ends.
            let _ = on_node.send(Event::Node);
            let subject = certificates::serving_subject(change.object());
            serving.send_if_modified(|known| {
                let is_new = subject.is_some() && *known != subject;
                if is_new {
                    *known = subject;
                }
                is_new
            });
        })
        .start();
    let drivers = Drivers::default();
    let own = OwnNode {
        name: name.clone(),
        store: node.clone(),
        changed,
    };
    let csi = Csi::new(drivers.clone(), own);
    csi.recall(&flags.root_dir);
    let in_use = csi.in_use().clone();
    let surroundings = Surroundings {
        client: &client,
        runtime: &runtime,
        csi,
    };
    let context = context(&flags, &registration, surroundings, &events, setup);

    let tell = host::tell_node(context.recorder.clone(), &name);
    let host = host::watch(requirements::ALL, tell);
    expiry::also_as(
        "kubelet_certificate_manager_client_ttl_seconds",
        "Seconds until the kubelet's client certificate ends; negative if it has.",
        expiry::Use::Client,
    );
    expiry::also_as(
        "kubelet_certificate_manager_server_ttl_seconds",
        "Seconds until the kubelet's serving certificate ends; negative if it has.",
        expiry::Use::Serving,
    );
    certificates::keep(&flags, &name);
    let _ca = flags
        .rotate_ca_file
        .then(|| cluster_ca::follow(&client, flags.common.client_ca_file.clone()));
    let pods = Pods::default();
    let manager = Manager::new(context.clone(), pods.clone(), node.clone(), events.clone());
    task::spawn_critical("manager", manager.run(inbox));
    let images = Collector::new(runtime.clone(), image_policy);
    let images = Arc::new(images);
    let policy = eviction_policy(&flags, &registration);
    let evictions = eviction::run(context.clone(), pods.clone(), policy, images.clone());
    task::spawn_critical("eviction", evictions);
    let heartbeat = node::lease::keep(client.clone(), name.clone());
    task::spawn_critical("node-lease", heartbeat);
    let facts = &registration.facts;
    let teller = node::events::Teller::new(context.recorder.clone(), &name);
    teller.starting(context.cgroups.enforce(
        facts.pods_memory(),
        facts.pods_cpu(),
        facts.pods_processes(),
    ));
    let keeper = node::keep(
        client.clone(),
        runtime.clone(),
        registration.clone(),
        teller,
        context.shutdown.clone(),
        in_use,
        context.pressure.clone(),
    );
    task::spawn_critical("node-status", keeper);
    follow_drivers(&flags, drivers, Announcer::new(&client, &name), &events);
    let upkeep = volumes::upkeep::run(context.clone(), pods.clone());
    task::spawn_critical("volume-upkeep", upkeep);
    let (statics, mirror_queue) = follow_statics(&flags, &name, &events);
    let store = follow_pods(&client, &name, &events, mirror_queue.clone());
    let owner = mirrors::Owner {
        node: name.clone(),
        pods: pods.clone(),
    };
    let keeper = mirrors::keep(
        client.clone(),
        node,
        store.clone(),
        statics,
        mirror_queue,
        owner,
    );
    task::spawn_critical("mirrors", keeper);
    follow_runtime(&context, &events, store.clone());
    collect_garbage(&flags, &runtime, &events, images);

    let (ready, folder) = (store, context.clone());
    let checks = Checks::default().ready("pods", move || ready.check());
    let checks = checks.ready("root-dir", move || {
        folder.root.check().map_err(|e| e.to_string())
    });
    let checks = Arc::new(checks.host(&host));
    checks.follow();
    let end = end(context.clone(), pods.clone(), periods);
    let server = Server::new(context, pods, client, name.clone(), checks);
    tracing::info!(node = name, %address, "started");
    tokio::select! {
        () = server.serve(listener, tls) => {}
        ended = end => ended?,
        failure = task::failed() => return Err(failure.into()),
    }
    tracing::info!(node = name, "stops");
    Ok(())
}

/// What must be left of this node's resources, and what happens else.
fn eviction_policy(flags: &Flags, registration: &Registration) -> eviction::Policy {
    let facts = &registration.facts;
    eviction::Policy {
        thresholds: facts.thresholds.clone(),
        max_pod_grace: flags.eviction_max_pod_grace_period,
        transition: flags.eviction_pressure_transition_period,
        root: flags.root_dir.clone(),
        memory: facts.machine.memory,
        pods_memory: facts.pods_memory(),
    }
}

/// Waits until the process is told to stop. Pods go on without it, unless the
/// host goes down, too: then they end first.
async fn end(context: Arc<Context>, pods: Pods, periods: Option<Periods>) -> std::io::Result<()> {
    signals::shutdown().await?;
    if let Some(periods) = periods
        && shutdown::is_system_stopping().await
    {
        shutdown::run(&context.shutdown, periods, &pods, &context.statuses).await;
    }
    Ok(())
}

/// What must be so before anything is begun.
struct NodeSetup {
    root: RootDir,
    cgroups: Cgroups,
    sysctls: sysctls::Allowed,
    allocations: Allocations,
}

fn setup(flags: &Flags, registration: &Registration) -> Result<NodeSetup, Error> {
    let machine = &registration.facts.machine;
    let sysctls = sysctls::Allowed::new(&machine.kernel, &flags.allowed_unsafe_sysctls);
    let sysctls = sysctls.map_err(|e| Error::Flag(format!("--allowed-unsafe-sysctls: {e}")))?;
    if flags.protect_kernel_defaults {
        let complaints = kernel::complaints(Path::new("/proc/sys"));
        if !complaints.is_empty() {
            return Err(Error::Kernel(complaints));
        }
    }
    let cgroups = Cgroups::new("/sys/fs/cgroup", &flags.cgroup_root, flags.pids_limit());
    if !cgroups.can_limit_pids() {
        let text = "--pod-max-pids: this host has no cgroup controller for pids";
        return Err(Error::Flag(text.into()));
    }
    let root = RootDir::claim(&flags.root_dir, &registration.facts.name, &machine.boot_id)?;
    std::fs::create_dir_all(&flags.pod_logs_dir)?;
    let allocations = Allocations::open(&flags.root_dir.join("allocations"))?;
    Ok(NodeSetup {
        allocations,
        root,
        cgroups,
        sysctls,
    })
}

/// What a kubelet works with.
struct Surroundings<'a> {
    client: &'a Client,
    runtime: &'a cri::Handle,
    csi: Csi,
}

fn context(
    flags: &Flags,
    registration: &Registration,
    surroundings: Surroundings<'_>,
    events: &mpsc::UnboundedSender<Event>,
    setup: NodeSetup,
) -> Arc<Context> {
    let Surroundings {
        client,
        runtime,
        csi,
    } = surroundings;
    let name = &registration.facts.name;
    let recorder = Recorder::new(client.clone(), "kubelet", Some(name));
    let objects = Arc::new(Cluster::new(
        client.clone(),
        name,
        forward(events, Event::Reference),
    ));
    let shared: Arc<dyn Objects> = objects.clone();
    let (_, allocatable) = node::status::amounts(&registration.facts);
    let facts = downward::Facts {
        pod_ips: Vec::new(),
        host_ips: registration.facts.ips.clone(),
        allocatable: allocatable
            .into_iter()
            .filter_map(|(name, amount)| Some((name, amount.0.parse().ok()?)))
            .collect(),
    };
    let probes = probes::Manager::new(
        runtime.clone(),
        recorder.clone(),
        forward(events, Event::Probe),
    );
    let volumes = volumes::Manager::new(
        &flags.root_dir,
        shared.clone(),
        Arc::new(volumes::Kernel),
        facts.clone(),
    )
    .with(Arc::new(csi));
    let resolver = std::fs::read_to_string(&flags.resolv_conf).unwrap_or_default();
    Arc::new(Context {
        runtime: runtime.clone(),
        volumes: Arc::new(volumes),
        objects,
        images: Arc::new(Puller::new(
            runtime.clone(),
            recorder.clone(),
            shared,
            images::PARALLEL_PULLS,
        )),
        probes: Arc::new(probes),
        nudge: Arc::new(Notify::new()),
        recorder,
        statuses: Writer::start(client.clone()),
        cgroups: setup.cgroups,
        shutdown: Shutdown::default(),
        pressure: NodePressure::default(),
        allocations: setup.allocations,
        root: setup.root,
        sysctls: setup.sysctls,
        app_armor: apparmor::is_enabled(),
        places: Places {
            logs: flags.pod_logs_dir.clone(),
            seccomp: Seccomp {
                directory: flags.root_dir.join("seccomp"),
                default: flags.seccomp_default,
            },
        },
        dns: dns::Node {
            cluster_dns: flags.cluster_dns.iter().map(ToString::to_string).collect(),
            cluster_domain: flags.cluster_domain.clone(),
            host: dns::parse(&resolver),
        },
        cluster_domain: flags.cluster_domain.clone(),
        hosts_file: Path::new("/etc/hosts").to_owned(),
        facts,
        node_name: name.clone(),
        memory_capacity: registration.facts.machine.memory,
    })
}

/// A sender whose messages arrive as events.
fn forward<T: Send + 'static>(
    events: &mpsc::UnboundedSender<Event>,
    wrap: impl Fn(T) -> Event + Send + 'static,
) -> mpsc::UnboundedSender<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is emptied into the manager's inbox at once"
    )]
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let events = events.clone();
    task::spawn_job("forward", async move {
        while let Some(message) = receiver.recv().await {
            if events.send(wrap(message)).is_err() {
                return;
            }
        }
    });
    sender
}

fn follow_pods(
    client: &Client,
    node: &str,
    events: &mpsc::UnboundedSender<Event>,
    mirrors: WorkQueue<ObjectKey>,
) -> Store<Pod> {
    let (events, own) = (events.clone(), node.to_owned());
    Informer::new(client.all::<Pod>())
        .fields(format!("spec.nodeName={node}"))
        .on_change(move |change| {
            if crate::pod::is_mirror(change.object(), &own) {
                mirrors.add(ObjectKey::of(change.object().as_ref()));
            }
            // The manager lives as long as the process.
            let _ = events.send(Event::Pod(change.clone()));
        })
        .start()
}

/// Static pods run whether or not there is an apiserver.
fn follow_statics(
    flags: &Flags,
    node: &str,
    events: &mpsc::UnboundedSender<Event>,
) -> (watch::Receiver<static_pods::Pods>, WorkQueue<ObjectKey>) {
    let (sender, receiver) = watch::channel(static_pods::Pods::new());
    let queue = WorkQueue::new();
    if let Some(directory) = flags.pod_manifest_path.clone() {
        static_pods::make_folder(&directory);
        let following = static_pods::follow(directory, node.to_owned(), sender);
        task::spawn_critical("static-pods", following);
    }
    let (mut changes, events, keys) = (receiver.clone(), events.clone(), queue.clone());
    task::spawn_job("static-pod-changes", async move {
        let mut known = static_pods::Pods::new();
        while changes.changed().await.is_ok() {
            let now = changes.borrow_and_update().clone();
            for (uid, pod) in known.iter().filter(|(uid, _)| !now.contains_key(*uid)) {
                let _ = events.send(Event::StaticGone(uid.clone()));
                keys.add(ObjectKey::of(pod.as_ref()));
            }
            for (_, pod) in now.iter().filter(|(uid, _)| !known.contains_key(*uid)) {
                let _ = events.send(Event::Static(pod.clone()));
                keys.add(ObjectKey::of(pod.as_ref()));
            }
            known = now;
        }
    });
    (receiver, queue)
}

/// Whenever a driver comes, what waits for it is tried again.
fn follow_drivers(
    flags: &Flags,
    drivers: Drivers,
    announcer: Announcer,
    events: &mpsc::UnboundedSender<Event>,
) {
    let news = Arc::new(Notify::new());
    let registrar = Registrar::new(&flags.root_dir, drivers, announcer, news.clone());
    task::spawn_critical("csi-registration", registrar.run());
    let events = events.clone();
    task::spawn_job("csi-news", async move {
        loop {
            news.notified().await;
            // The manager lives as long as the process.
            let _ = events.send(Event::DriverCame);
        }
    });
}

/// Nothing that runs is taken for an orphan before both sides are known: what
/// the runtime has and what the API wants.
fn follow_runtime(context: &Arc<Context>, events: &mpsc::UnboundedSender<Event>, pods: Store<Pod>) {
    let (first, looked) = oneshot::channel();
    let happenings = forward(events, Event::Runtime);
    let (runtime, nudge) = (context.runtime.clone(), context.nudge.clone());
    task::spawn_critical("pleg", pleg::run(runtime, nudge, happenings, Some(first)));
    let events = events.clone();
    task::spawn_job("first-look", async move {
        // An error means that the watcher ended, and with it the process.
        let _ = looked.await;
        pods.wait_synced().await;
        let _ = events.send(Event::Synced);
    });
}

fn collect_garbage(
    flags: &Flags,
    runtime: &cri::Handle,
    events: &mpsc::UnboundedSender<Event>,
    images: Arc<Collector>,
) {
    let rotator = Rotator::new(
        runtime.clone(),
        &flags.pod_logs_dir,
        flags.container_log_max_size,
        flags.container_log_max_files,
    );
    task::spawn_critical("log-rotation", async move { rotator.run().await });
    let endpoint = &flags.container_runtime_endpoint;
    let mut leftovers =
        leftovers::Collector::new(runtime.clone(), endpoint, &flags.cni_address_dir);
    let events = events.clone();
    task::spawn_critical("leftovers", async move {
        loop {
            tokio::time::sleep(leftovers::PERIOD).await;
            if let Err(error) = leftovers.collect(Instant::now()).await {
                tracing::warn!(%error, "cannot look for leftovers");
            }
            // The manager lives as long as the process.
            let _ = events.send(Event::Sweep);
        }
    });
    task::spawn_critical("image-collection", async move {
        loop {
            tokio::time::sleep(IMAGE_COLLECTION).await;
            if let Err(error) = images.collect().await {
                tracing::warn!(%error, "images can't be collected");
            }
        }
    });
}
