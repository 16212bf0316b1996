use super::*;
use crate::cgroups::Cgroups;
use crate::usage::inventory::Entry;
use std::path::Path;
use std::time::{Duration, Instant};

/// A node's cgroups of version 1, as the kernel shows them.
fn tree(mount: &Path, pods: usize) -> Vec<PodEntry> {
    let stat: String = [
        "cache",
        "rss",
        "mapped_file",
        "pgfault",
        "pgmajfault",
        "inactive_file",
    ]
    .iter()
    .map(|name| format!("{name} 1\ntotal_{name} 4096\n"))
    .collect();
    let files = [
        ("cpuacct", "cpuacct.usage", "1500000000\n"),
        ("cpuacct", "cpuacct.stat", "user 120\nsystem 30\n"),
        (
            "cpu",
            "cpu.stat",
            "nr_periods 5\nnr_throttled 2\nthrottled_time 700\n",
        ),
        ("cpu", "cpu.cfs_quota_us", "50000\n"),
        ("cpu", "cpu.cfs_period_us", "100000\n"),
        ("cpu", "cpu.shares", "102\n"),
        ("memory", "memory.usage_in_bytes", "10000\n"),
        ("memory", "memory.limit_in_bytes", "20000\n"),
        ("memory", "memory.stat", &stat),
        ("memory", "memory.failcnt", "3\n"),
        ("memory", "memory.oom_control", "oom_kill 0\n"),
        ("memory", "cgroup.procs", "0\n"),
        (
            "blkio",
            "blkio.throttle.io_service_bytes",
            "8:0 Read 10\n8:0 Write 20\n",
        ),
        (
            "blkio",
            "blkio.throttle.io_serviced",
            "8:0 Read 1\n8:0 Write 2\n",
        ),
        ("pids", "pids.current", "3\n"),
    ];
    let entry = |pod: &str, name: &str| Entry {
        name: name.into(),
        id: format!("id-{name}"),
        path: format!("{pod}/id-{name}"),
        created: 1,
        ..Entry::default()
    };
    let entries: Vec<PodEntry> = (0..pods)
        .map(|number| {
            let path = format!("/kubepods/burstable/pod{number}");
            PodEntry {
                namespace: "shop".into(),
                name: format!("web-{number}"),
                uid: number.to_string(),
                sandbox: Some(entry(&path, "")),
                containers: vec![entry(&path, "web"), entry(&path, "proxy")],
                path,
            }
        })
        .collect();
    let of_pods = entries.iter().flat_map(|pod| {
        let below = pod.containers.iter().chain(&pod.sandbox);
        below.map(|e| e.path.clone()).chain([pod.path.clone()])
    });
    for path in of_pods.chain([String::new()]) {
        for (controller, file, text) in files {
            let folder = mount.join(controller).join(path.trim_start_matches('/'));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(file), text).unwrap();
        }
    }
    entries
}

#[test]
fn series_carry_cadvisors_names_and_labels() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = tree(dir.path(), 1);
    entries[0].containers[0].image = "web:1".into();
    let meter = Meter::new(&Cgroups::new(dir.path(), "/", None));
    let devices = devices("major minor  #blocks  name\n\n   8        0   10 sda\n");
    let readings = readings(&meter, entries, &devices);
    let text = cadvisor_text(&readings, &Machine::default(), &NodeDisk::default());
    let web = "container=\"web\",id=\"/kubepods/burstable/pod0/id-web\",image=\"web:1\",name=\"id-web\",namespace=\"shop\",pod=\"web-0\"";
    let has = |start: &str, value: &str| {
        let found = text.lines().any(|line| {
            line.strip_prefix(start)
                .is_some_and(|rest| rest.starts_with(&format!(" {value} ")))
        });
        assert!(found, "{start} {value}\n{text}");
    };
    has(
        &format!("container_cpu_usage_seconds_total{{{web},cpu=\"total\"}}"),
        "1.5",
    );
    has(
        &format!("container_memory_working_set_bytes{{{web}}}"),
        "5904",
    );
    has(
        &format!("container_cpu_cfs_throttled_periods_total{{{web}}}"),
        "2",
    );
    has(
        &format!("container_fs_writes_bytes_total{{{web},device=\"/dev/sda\"}}"),
        "20",
    );
    has(
        &format!("container_spec_memory_limit_bytes{{{web}}}"),
        "20000",
    );
    // The pod's own cgroup has no container.
    has(
        "container_memory_usage_bytes{container=\"\",id=\"/kubepods/burstable/pod0\",image=\"\",name=\"\",namespace=\"shop\",pod=\"web-0\"}",
        "10000",
    );
    has(
        "container_memory_usage_bytes{container=\"\",id=\"/\",image=\"\",name=\"\",namespace=\"\",pod=\"\"}",
        "10000",
    );
    assert!(text.contains("machine_cpu_cores{boot_id="));
}

#[test]
fn a_node_is_read_fast() {
    let dir = tempfile::tempdir().unwrap();
    let entries = tree(dir.path(), 10);
    let meter = Meter::new(&Cgroups::new(dir.path(), "/", None));
    let began = Instant::now();
    let readings = readings(&meter, entries.clone(), &HashMap::new());
    let text = cadvisor_text(&readings, &Machine::default(), &NodeDisk::default());
    let cadvisor = began.elapsed();
    let began = Instant::now();
    let figures = meter.figures(entries);
    let resource = began.elapsed();
    assert_eq!((readings.len(), figures.pods.len()), (1 + 10 * 4, 10));
    println!(
        "cadvisor {cadvisor:?}, {} bytes; resource {resource:?}",
        text.len()
    );
    // Some 30 ms in a debug build; a busy machine is given more.
    let bound = Duration::from_millis(750);
    assert!(cadvisor + resource < bound, "{cadvisor:?} {resource:?}");
}
