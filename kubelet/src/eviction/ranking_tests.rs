use super::super::threshold::{Texts, parse};
use super::super::usage::ContainerUsage;
use super::*;
use crate::eviction::pressure::Observation;
use serde_json::json;

const MEGA: u64 = 1 << 20;

fn pod(name: &str, priority: i32, requests: &[(&str, &str)]) -> Arc<Pod> {
    let requests: BTreeMap<&str, &str> = requests.iter().copied().collect();
    let spec = json!({"priority": priority, "containers": [
        {"name": "main", "resources": {"requests": requests}},
    ]});
    Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap())
}

fn memory(name: &str, priority: i32, request: &str, used: u64) -> Candidate {
    let main = ContainerUsage {
        memory: Some(used * MEGA),
        ..Default::default()
    };
    Candidate {
        pod: pod(name, priority, &[("memory", request)]),
        usage: Some(Usage {
            memory: used * MEGA,
            containers: [("main".to_owned(), main)].into(),
            ..Default::default()
        }),
    }
}

fn disk(name: &str, priority: i32, request: &str, layer: u64, logs: u64, volume: u64) -> Candidate {
    let disk = |mega: u64| Disk {
        bytes: mega * MEGA,
        inodes: mega,
    };
    let main = ContainerUsage {
        memory: None,
        layer: disk(layer),
        logs: disk(logs),
    };
    Candidate {
        pod: pod(name, priority, &[(STORAGE, request)]),
        usage: Some(Usage {
            containers: [("main".to_owned(), main)].into(),
            volumes: [("data".to_owned(), disk(volume))].into(),
            ..Default::default()
        }),
    }
}

fn order(mut candidates: Vec<Candidate>, signal: Signal, own_disk: bool) -> Vec<String> {
    rank(&mut candidates, signal, own_disk);
    let name = |candidate: &Candidate| candidate.pod.metadata.name.clone().unwrap();
    candidates.iter().map(name).collect()
}

/// `TestOrderedByExceedsRequestPriorityMemory` of `pkg/kubelet/eviction/helpers_test.go`.
#[test]
fn memory_goes_by_excess_then_priority_then_amount() {
    let pods = vec![
        memory("below-high-priority", 100, "1Gi", 50),
        memory("below-low-priority", -10, "100Mi", 50),
        memory("exceeds-high-priority", 100, "100Mi", 1000),
        memory("exceeds-low-priority-low-excess", -10, "100Mi", 101),
        memory("exceeds-low-priority-high-excess", -10, "100Mi", 150),
    ];
    assert_eq!(
        order(pods, Signal::MemoryAvailable, false),
        [
            "exceeds-low-priority-high-excess",
            "exceeds-low-priority-low-excess",
            "exceeds-high-priority",
            "below-low-priority",
            "below-high-priority",
        ]
    );
}

#[test]
fn who_cannot_be_seen_goes_first() {
    let unseen = Candidate {
        usage: None,
        ..memory("unseen", 1000, "1Gi", 0)
    };
    let pods = vec![memory("seen", -10, "1Mi", 500), unseen];
    assert_eq!(
        order(pods, Signal::MemoryAvailable, false),
        ["unseen", "seen"]
    );
}

/// `TestOrderedByPriorityProcesses` there.
#[test]
fn processes_go_by_priority_then_number() {
    let processes = |name: &str, priority: i32, count: u64| Candidate {
        pod: pod(name, priority, &[]),
        usage: Some(Usage {
            processes: count,
            ..Default::default()
        }),
    };
    let pods = vec![
        processes("few", 0, 10),
        processes("low", -1, 20),
        processes("many", 0, 40),
        processes("high", 1, 90),
    ];
    assert_eq!(
        order(pods, Signal::PidAvailable, false),
        ["low", "many", "few", "high"]
    );
}

#[test]
fn of_a_disk_counts_what_lies_on_it() {
    let pods = || {
        vec![
            disk("layer", 0, "10Mi", 500, 0, 0),
            disk("logs", 0, "10Mi", 0, 300, 0),
            disk("volume", 0, "10Mi", 0, 0, 400),
            disk("modest", -100, "1Gi", 50, 0, 0),
        ]
    };
    let one_disk = order(pods(), Signal::NodeFsAvailable, false);
    assert_eq!(one_disk, ["layer", "volume", "logs", "modest"]);
    let node = order(pods(), Signal::NodeFsAvailable, true);
    assert_eq!(node, ["volume", "logs", "modest", "layer"]);
    let images = order(pods(), Signal::ImageFsAvailable, true);
    assert_eq!(images[0], "layer");
}

#[test]
fn the_pod_is_told_what_was_short_and_what_it_used() {
    let starved = parse(Texts {
        hard: "memory.available<100Mi",
        ..Default::default()
    });
    let left = Observation {
        available: 90 << 20,
        capacity: 4 << 30,
    };
    let seen = [(Signal::MemoryAvailable, left)].into();
    let told = notice(&memory("a", 0, "10Mi", 64), &starved.unwrap(), &seen);
    assert_eq!(
        told.message,
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. Container main was using 64Mi, request is 10Mi, has larger consumption of memory. "
    );
    assert_eq!(told.annotations["offending_containers"], "main");
    assert_eq!(told.annotations["offending_containers_usage"], "64Mi");
    assert_eq!(told.annotations["starved_resource"], "memory");
    let starved = parse(Texts {
        hard: "nodefs.inodesFree<5%",
        ..Default::default()
    });
    let left = Observation {
        available: 3,
        capacity: 1000,
    };
    let seen = [(Signal::NodeFsInodesFree, left)].into();
    let told = notice(&disk("a", 0, "0", 1, 1, 1), &starved.unwrap(), &seen);
    assert_eq!(
        told.message,
        "The node was low on resource: inodes. Threshold quantity: 50, available: 3. "
    );
}

#[test]
fn what_the_node_needs_stays() {
    assert!(is_evictable(&pod("a", 1_999_999_999, &[])));
    assert!(!is_evictable(&pod("a", CRITICAL, &[])));
    let mut of_file = (*pod("a", 0, &[])).clone();
    let annotations = of_file.metadata.annotations.get_or_insert_default();
    annotations.insert(pod::SOURCE.into(), "file".into());
    assert!(!is_evictable(&of_file));
}
