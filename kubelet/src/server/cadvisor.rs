//! `/metrics/cadvisor`, which dashboards are made of. Names, labels and help are those of the
//! cAdvisor in Kubernetes 1.33 (`metrics/prometheus.go`).

use super::metrics::{NANOS, answer, seconds};
use super::{Body, Refusal};
use crate::context::Context;
use crate::images::sandbox_image;
use crate::manager::Pods;
use crate::node::machine::{Machine, Usage};
use crate::usage::cgroup::{CpuDetail, Disk, Limits, Memory, Tasks};
use crate::usage::exposition::{Exposition, Kind, LabelText};
use crate::usage::inventory::PodEntry;
use crate::usage::network::{self, Interface, Traffic};
use crate::usage::{Figures, Meter};
use hardway_proto::Kind as _;
use http::Response;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// All that cAdvisor says of a cgroup.
#[derive(Default)]
struct Reading {
    labels: Labels,
    at: i64,
    created: i64,
    cpu: u64,
    detail: CpuDetail,
    memory: Memory,
    memory_failures: u64,
    out_of_memory: u64,
    limits: Limits,
    tasks: Tasks,
    disks: Vec<Disk>,
    network: Vec<Interface>,
}

impl Reading {
    /// When it was read.
    fn millis(&self) -> Option<i64> {
        Some(self.at / 1_000_000)
    }
}

#[derive(Default)]
struct Labels {
    container: String,
    id: String,
    image: String,
    name: String,
    namespace: String,
    pod: String,
}

impl Labels {
    fn all(&self) -> [(&'static str, &str); 6] {
        [
            ("container", &self.container),
            ("id", &self.id),
            ("image", &self.image),
            ("name", &self.name),
            ("namespace", &self.namespace),
            ("pod", &self.pod),
        ]
    }
}

/// Answers with what cAdvisor would.
pub async fn cadvisor(
    context: &Context,
    pods: &Pods,
    meter: &Meter,
    machine: &Machine,
) -> Result<Response<Body>, Refusal> {
    let inventory = meter.inventory(&*context.runtime).await;
    let mut entries = inventory.map_err(Refusal::internal)?;
    name_images(&mut entries, pods);
    let of_sandboxes = sandbox_image(&*context.runtime).await.unwrap_or_default();
    for sandbox in entries.iter_mut().filter_map(|pod| pod.sandbox.as_mut()) {
        sandbox.image.clone_from(&of_sandboxes);
    }
    let (meter, machine) = (meter.clone(), machine.clone());
    let folder = context.places.logs.clone();
    let read = tokio::task::spawn_blocking(move || {
        let devices = devices(&fs::read_to_string("/proc/partitions").unwrap_or_default());
        let readings = readings(&meter, entries, &devices);
        let disk = NodeDisk {
            device: device_of(&folder, &devices),
            usage: Usage::look(&folder),
        };
        cadvisor_text(&readings, &machine, &disk)
    });
    Ok(answer(read.await.map_err(Refusal::internal)?))
}

/// The disk that holds what the kubelet keeps.
#[derive(Default)]
struct NodeDisk {
    device: String,
    usage: Usage,
}

/// The device of the filesystem that a folder is on; `/` where it has none of its own, as
/// an overlay.
fn device_of(folder: &Path, devices: &HashMap<String, String>) -> String {
    let number = fs::metadata(folder).map(|found| found.dev()).ok();
    let device = number.and_then(|number| {
        let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
        devices.get(&format!("{major}:{minor}"))
    });
    device.map_or("/", String::as_str).to_owned()
}

/// Runtimes that only know an image's digest leave its name to the pod's spec.
fn name_images(entries: &mut [PodEntry], pods: &Pods) {
    let wanted = pods.active();
    let by_uid: HashMap<&str, _> = wanted.iter().map(|pod| (pod.uid(), pod)).collect();
    for entry in entries {
        let Some(pod) = by_uid.get(entry.uid.as_str()) else {
            continue;
        };
        for container in &mut entry.containers {
            let mut specs = crate::pod::all_containers(pod);
            let spec = specs.find(|spec| spec.name == container.name);
            if let Some(image) = spec.and_then(|spec| spec.image.clone()) {
                container.image = image;
            }
        }
    }
}

/// Disks by `MAJOR:MINOR`, out of `/proc/partitions`.
fn devices(partitions: &str) -> HashMap<String, String> {
    let device = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [major, minor, _, name] = words.as_slice() else {
            return None;
        };
        major.parse::<u32>().ok()?;
        Some((format!("{major}:{minor}"), format!("/dev/{name}")))
    };
    partitions.lines().filter_map(device).collect()
}

fn readings(
    meter: &Meter,
    entries: Vec<PodEntry>,
    devices: &HashMap<String, String>,
) -> Vec<Reading> {
    let reader = &meter.reader;
    let read = |figures: Figures, path: &str, labels: Labels| {
        let mut disks = reader.disks(path);
        for disk in &mut disks {
            if let Some(name) = devices.get(&disk.device) {
                disk.device.clone_from(name);
            }
        }
        Reading {
            labels,
            at: figures.at,
            cpu: figures.cpu.unwrap_or(0),
            memory: figures.memory.unwrap_or_default(),
            detail: reader.cpu_detail(path),
            memory_failures: reader.memory_failures(path),
            out_of_memory: reader.out_of_memory(path),
            limits: reader.limits(path),
            tasks: reader.tasks(path),
            disks,
            ..Reading::default()
        }
    };
    let root = Labels {
        id: "/".into(),
        ..Labels::default()
    };
    let mut readings = vec![Reading {
        network: network::of_node(),
        ..read(meter.node(), &meter.root, root)
    }];
    for pod in entries {
        let labels = |path: &str| Labels {
            id: path.to_owned(),
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            ..Labels::default()
        };
        let of = |path: &str, labels| {
            let figures = meter.of(path);
            // It has ended since the runtime was asked.
            figures.cpu.map(|_| read(figures, path, labels))
        };
        readings.extend(of(&pod.path, labels(&pod.path)));
        let sandbox = pod.sandbox.iter().map(|entry| (entry, true));
        for (entry, is_sandbox) in sandbox.chain(pod.containers.iter().map(|e| (e, false))) {
            let labels = Labels {
                container: entry.name.clone(),
                image: entry.image.clone(),
                name: entry.id.clone(),
                ..labels(&entry.path)
            };
            readings.extend(of(&entry.path, labels).map(|reading| Reading {
                created: entry.created,
                network: match is_sandbox {
                    true => meter.network(entry),
                    false => Vec::new(),
                },
                ..reading
            }));
        }
    }
    readings
}

/// One figure of a cgroup.
type Family = (
    &'static str,
    &'static str,
    Kind,
    fn(&Reading) -> Option<f64>,
);

const FAMILIES: [Family; 24] = {
    use Kind::{Counter, Gauge};
    [
        (
            "container_cpu_cfs_periods_total",
            "Number of elapsed enforcement period intervals.",
            Counter,
            |r| limited(r).then_some(r.detail.periods as f64),
        ),
        (
            "container_cpu_cfs_throttled_periods_total",
            "Number of throttled period intervals.",
            Counter,
            |r| limited(r).then_some(r.detail.throttled_periods as f64),
        ),
        (
            "container_cpu_cfs_throttled_seconds_total",
            "Total time duration the container has been throttled.",
            Counter,
            |r| limited(r).then_some(seconds(r.detail.throttled)),
        ),
        (
            "container_cpu_system_seconds_total",
            "Cumulative system cpu time consumed in seconds.",
            Counter,
            |r| Some(seconds(r.detail.system)),
        ),
        (
            "container_cpu_user_seconds_total",
            "Cumulative user cpu time consumed in seconds.",
            Counter,
            |r| Some(seconds(r.detail.user)),
        ),
        (
            "container_last_seen",
            "Last time a container was seen by the exporter",
            Gauge,
            |r| Some((r.at / 1_000_000_000) as f64),
        ),
        (
            "container_memory_cache",
            "Number of bytes of page cache memory.",
            Gauge,
            |r| Some(r.memory.cache as f64),
        ),
        (
            "container_memory_failcnt",
            "Number of memory usage hits limits",
            Counter,
            |r| Some(r.memory_failures as f64),
        ),
        (
            "container_memory_mapped_file",
            "Size of memory mapped files in bytes.",
            Gauge,
            |r| Some(r.memory.mapped as f64),
        ),
        (
            "container_memory_rss",
            "Size of RSS in bytes.",
            Gauge,
            |r| Some(r.memory.rss as f64),
        ),
        (
            "container_memory_swap",
            "Container swap usage in bytes.",
            Gauge,
            |r| Some(r.memory.swap.unwrap_or(0) as f64),
        ),
        (
            "container_memory_usage_bytes",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            Gauge,
            |r| Some(r.memory.usage as f64),
        ),
        (
            "container_memory_working_set_bytes",
            "Current working set in bytes.",
            Gauge,
            |r| Some(r.memory.working_set as f64),
        ),
        (
            "container_oom_events_total",
            "Count of out of memory events observed for the container",
            Counter,
            |r| Some(r.out_of_memory as f64),
        ),
        (
            "container_processes",
            "Number of processes running inside the container.",
            Gauge,
            |r| Some(r.tasks.processes as f64),
        ),
        (
            "container_spec_cpu_period",
            "CPU period of the container.",
            Gauge,
            |r| Some(r.limits.cpu_period as f64),
        ),
        (
            "container_spec_cpu_quota",
            "CPU quota of the container.",
            Gauge,
            |r| r.limits.cpu_quota.map(|quota| quota as f64),
        ),
        (
            "container_spec_cpu_shares",
            "CPU share of the container.",
            Gauge,
            |r| Some(r.limits.cpu_shares as f64),
        ),
        (
            "container_spec_memory_limit_bytes",
            "Memory limit for the container.",
            Gauge,
            |r| Some(r.limits.memory as f64),
        ),
        (
            "container_spec_memory_reservation_limit_bytes",
            "Memory reservation limit for the container.",
            Gauge,
            |r| Some(r.limits.memory_reservation as f64),
        ),
        (
            "container_spec_memory_swap_limit_bytes",
            "Memory swap limit for the container.",
            Gauge,
            |r| Some(r.limits.swap as f64),
        ),
        (
            "container_start_time_seconds",
            "Start time of the container since unix epoch in seconds.",
            Gauge,
            |r| (r.created > 0).then_some(r.created as f64 / NANOS),
        ),
        (
            "container_threads",
            "Number of threads running inside the container",
            Gauge,
            |r| Some(r.tasks.threads as f64),
        ),
        (
            "container_threads_max",
            "Maximum number of threads allowed inside the container, infinity if value is zero",
            Gauge,
            |r| Some(r.tasks.threads_max as f64),
        ),
    ]
};

fn limited(reading: &Reading) -> bool {
    reading.limits.cpu_quota.is_some()
}

/// The families of which a cgroup has several series, by a label more.
type Counted<T> = (&'static str, &'static str, fn(&T) -> u64);

const DISKS: [Counted<Disk>; 4] = [
    (
        "container_fs_reads_bytes_total",
        "Cumulative count of bytes read",
        |disk| disk.read_bytes,
    ),
    (
        "container_fs_reads_total",
        "Cumulative count of reads completed",
        |disk| disk.reads,
    ),
    (
        "container_fs_writes_bytes_total",
        "Cumulative count of bytes written",
        |disk| disk.written_bytes,
    ),
    (
        "container_fs_writes_total",
        "Cumulative count of writes completed",
        |disk| disk.writes,
    ),
];

const TRAFFIC: [Counted<Traffic>; 4] = [
    ("bytes", "Cumulative count of bytes", |t| t.bytes),
    ("packets", "Cumulative count of packets", |t| t.packets),
    (
        "errors",
        "Cumulative count of errors encountered while",
        |t| t.errors,
    ),
    (
        "packets_dropped",
        "Cumulative count of packets dropped while",
        |t| t.dropped,
    ),
];

/// A cgroup, and its labels as each of its figures has them.
struct Series<'a> {
    of: &'a Reading,
    labels: LabelText,
}

/// A series, with labels beside those of its cgroup.
fn more(text: &mut Exposition, of: &Series<'_>, name: &str, labels: &[(&str, &str)], value: f64) {
    text.series(name, &of.labels, labels, value, of.of.millis());
}

fn cadvisor_text(readings: &[Reading], machine: &Machine, on: &NodeDisk) -> String {
    let disk = &on.usage;
    let mut text = Exposition::default();
    let series = |of| Series {
        of,
        labels: LabelText::of(&of.labels.all()),
    };
    let all: Vec<Series<'_>> = readings.iter().map(series).collect();
    for (name, help, kind, of) in FAMILIES {
        text.family(name, help, kind);
        for series in &all {
            if let Some(value) = of(series.of) {
                more(&mut text, series, name, &[], value);
            }
        }
    }
    let name = "container_cpu_usage_seconds_total";
    text.family(
        name,
        "Cumulative cpu time consumed in seconds.",
        Kind::Counter,
    );
    for series in &all {
        let value = seconds(series.of.cpu);
        more(&mut text, series, name, &[("cpu", "total")], value);
    }
    let name = "container_memory_failures_total";
    let help = "Cumulative count of memory allocation failures.";
    text.family(name, help, Kind::Counter);
    for series in &all {
        let memory = &series.of.memory;
        for (kind, count) in [
            ("pgfault", memory.faults),
            ("pgmajfault", memory.major_faults),
        ] {
            let label = [("failure_type", kind), ("scope", "hierarchy")];
            more(&mut text, series, name, &label, count as f64);
        }
    }
    for (name, help, of) in DISKS {
        text.family(name, help, Kind::Counter);
        for series in &all {
            for disk in &series.of.disks {
                let label = [("device", disk.device.as_str())];
                more(&mut text, series, name, &label, of(disk) as f64);
            }
        }
    }
    for (direction, verb) in [("receive", "receiv"), ("transmit", "transmitt")] {
        for (what, help, of) in TRAFFIC {
            let name = format!("container_network_{direction}_{what}_total");
            let ending = if help.ends_with("while") { "ing" } else { "ed" };
            text.family(&name, &format!("{help} {verb}{ending}"), Kind::Counter);
            for series in &all {
                for interface in &series.of.network {
                    let traffic = match direction {
                        "receive" => &interface.received,
                        _ => &interface.sent,
                    };
                    let label = [("interface", interface.name.as_str())];
                    more(&mut text, series, &name, &label, of(traffic) as f64);
                }
            }
        }
    }
    // Of the node's disk alone: what a container has on it the runtime would have to count.
    for (name, help, value) in [
        (
            "container_fs_inodes_free",
            "Number of available Inodes",
            disk.inodes_free,
        ),
        ("container_fs_inodes_total", "Number of Inodes", disk.inodes),
        (
            "container_fs_limit_bytes",
            "Number of bytes that can be consumed by the container on this filesystem.",
            disk.disk,
        ),
        (
            "container_fs_usage_bytes",
            "Number of bytes that are consumed by the container on this filesystem.",
            disk.disk_used,
        ),
    ] {
        text.family(name, help, Kind::Gauge);
        for node in all.iter().take(1) {
            more(
                &mut text,
                node,
                name,
                &[("device", &on.device)],
                value as f64,
            );
        }
    }
    let own = [
        ("boot_id", machine.boot_id.as_str()),
        ("machine_id", &machine.machine_id),
        ("system_uuid", &machine.system_uuid),
    ];
    for (name, help, value) in [
        (
            "machine_cpu_cores",
            "Number of logical CPU cores.",
            machine.cpus as f64,
        ),
        (
            "machine_memory_bytes",
            "Amount of memory installed on the machine.",
            machine.memory as f64,
        ),
    ] {
        text.family(name, help, Kind::Gauge);
        text.sample(name, &own, value, None);
    }
    let name = "container_scrape_error";
    let help = "1 if there was an error while getting container metrics, 0 otherwise";
    text.family(name, help, Kind::Gauge);
    text.sample(name, &[], 0.0, None);
    text.finish()
}

#[cfg(test)]
mod tests;
