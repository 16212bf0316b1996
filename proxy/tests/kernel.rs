//! The kernel takes the rules: tried in a network namespace of its own, so
//! the host's rules are not touched. Needs root.

use hardway_proto::meta::ObjectKey;
use hardway_proxy::desired::{Change, Desired};
use hardway_proxy::elements::{Set, of_service};
use hardway_proxy::netlink::batch::Batch;
use hardway_proxy::nft::{Kernel, Nft};
use hardway_proxy::ruleset::Layout;
use hardway_proxy::service::{Endpoint, Port, Protocol};
use hardway_proxy::shape::Shape;
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

fn service(number: u8, endpoints: u8, affinity: Option<u32>, external_local: bool) -> Port {
    let endpoints: Vec<Endpoint> = (0..endpoints)
        .map(|at| Endpoint {
            ip: Ipv4Addr::new(10, 244, at % 2, at + 2),
            port: 3000,
            local: at % 2 == 0,
        })
        .collect();
    Port {
        cluster_ips: vec![Ipv4Addr::new(10, 96, 0, number)],
        external_ips: vec![Ipv4Addr::new(192, 0, 2, number)],
        guarded_ips: vec![Ipv4Addr::new(192, 0, 2, number)],
        sources: ["10.0.0.0/8", "172.16.0.1/32"]
            .map(|it| it.parse().expect("a range"))
            .into(),
        protocol: Protocol::Udp,
        port: 80,
        node_port: Some(30_000 + u16::from(number)),
        affinity,
        internal: endpoints.clone(),
        external: endpoints
            .iter()
            .filter(|e| e.local || !external_local)
            .copied()
            .collect(),
        endpoints,
        external_local,
    }
}

/// Runs the texts one after the other in one fresh network namespace; returns
/// the resulting ruleset.
fn load(texts: &[String]) -> String {
    in_namespace(async || {
        let kernel = Kernel::default();
        for text in texts {
            kernel.load(text).await.expect("loaded");
        }
        sh("nft list ruleset")
    })
}

#[test]
fn every_kind_of_service_loads_and_changes() {
    let layout = layout();
    let mut desired = Desired::default();
    let services = [
        service(1, 3, None, false),
        service(2, 2, Some(60), false),
        service(3, 4, None, true),
        service(4, 2, Some(10_800), true),
        service(5, 0, None, false),
    ];
    for (at, port) in services.into_iter().enumerate() {
        let key = ObjectKey::new("default", at.to_string());
        desired.replace(&key, of_service(&[port]), &mut Change::default());
    }
    let full = desired.rebuild(&layout);
    let mut change = Change::default();
    let first = ObjectKey::new("default", "0");
    desired.replace(
        &first,
        of_service(&[service(1, 7, None, false)]),
        &mut change,
    );
    let gone = ObjectKey::new("default", "1");
    desired.replace(&gone, of_service(&[]), &mut change);

    let incremental = load(&[full, change.commands()]);
    let rebuilt = load(&[desired.rebuild(&layout)]);
    assert_eq!(sorted(&incremental), sorted(&rebuilt));
    assert!(incremental.contains("10.244.0.8 . 3000"));
}

/// Does something in a network namespace of its own, which goes with its thread.
fn in_namespace<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace, which takes root");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(work())
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

/// Runs a script in the namespace of the calling thread.
fn sh(script: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", script])
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

fn layout() -> Layout {
    Layout {
        cluster_cidr: "10.244.0.0/16".parse().expect("a range"),
    }
}

fn key(number: u8) -> ObjectKey {
    ObjectKey::new("default", number.to_string())
}

/// Services of every kind.
fn every_kind() -> Desired {
    let mut desired = Desired::default();
    for (at, endpoints, affinity, local) in [
        (1, 3, None, false),
        (2, 3, Some(60), false),
        (3, 2, None, true),
        (4, 0, None, false),
        (5, 2, Some(10), true),
    ] {
        let elements = of_service(&[service(at, endpoints, affinity, local)]);
        desired.replace(&key(at), elements, &mut Change::default());
    }
    desired
}

#[test]
fn what_others_do_to_the_table_shows() {
    let commands = every_kind().rebuild(&layout());
    let wanted = Shape::of_commands(&commands);
    let after = |change: &str, counted: bool| {
        let shape = in_namespace(async || {
            let kernel = Kernel::default();
            kernel.load(&commands).await.expect("loaded");
            sh(change);
            kernel.shape(counted).await.expect("a listing")
        });
        shape.deviation(&wanted)
    };
    for counted in [true, false] {
        assert_eq!(after("", counted), None, "nobody did anything");
        let gone = after("nft delete table ip hardway-proxy", counted);
        assert!(gone.expect("noticed").ends_with(" is gone"));
        assert!(after("nft flush table ip hardway-proxy", counted).is_some());
        let flushed = after("nft flush chain ip hardway-proxy dispatch", counted);
        assert_eq!(
            flushed.as_deref(),
            Some("chain dispatch has 0 rules instead of 4")
        );
        let others = "nft 'add table ip other; add chain ip other x; add rule ip other x drop'";
        assert_eq!(after(others, counted), None, "another table");
    }
    let emptied = after("nft flush map ip hardway-proxy services", true).expect("noticed");
    assert!(
        emptied.starts_with("services has 0 elements instead of"),
        "{emptied}"
    );
    // One of them put in the place of another: as many as before.
    let (_, services) = commands
        .split_once("add element ip hardway-proxy services { ")
        .expect("there are services");
    let (service, _) = services.split_once(" : ").expect("a key and its data");
    let of = "element ip hardway-proxy services";
    let other = format!("nft 'delete {of} {{ {service} }}; add {of} {{ {service} : drop }}'");
    assert_eq!(
        after(&other, true).as_deref(),
        Some("services has other elements than it should")
    );
    let gone = Shape::default();
    assert!(gone.deviation(&wanted).is_some());
}

#[test]
fn a_batch_does_what_nft_does_with_the_same_change() {
    let mut desired = every_kind();
    let before = desired.rebuild(&layout());
    // More, fewer and none at all; other kinds; one that is new, and one that goes.
    for (number, endpoints, affinity, local) in [
        (1, 7, None, false),
        (2, 1, Some(60), false),
        (3, 4, Some(300), true),
        (4, 1, None, true),
        (5, 0, None, false),
        (6, 6, Some(5), true),
    ] {
        let mut change = Change::default();
        let elements = of_service(&[service(number, endpoints, affinity, local)]);
        desired.replace(&key(number), elements, &mut change);
        both_ways(&before, &desired, &change, number);
        // Each of them from the start, so that none hides another's fault.
        desired = every_kind();
    }
    let mut change = Change::default();
    desired.replace(&key(2), of_service(&[]), &mut change);
    both_ways(&before, &desired, &change, 2);
}

/// Applies a change as a batch and through nft, each to a table as it was before.
fn both_ways(before: &str, after: &Desired, change: &Change, number: u8) {
    assert!(!change.is_empty());
    let listed = || {
        let listing = sh("nft --json list table ip hardway-proxy");
        ordered(serde_json::from_str(&listing).expect("JSON"))
    };
    let (batched, once_more) = in_namespace(async || {
        let kernel = Kernel::default();
        kernel.load(before).await.expect("loaded");
        let generation = kernel.generation().expect("a generation");
        let batch = Batch::of(change).expect("a change that has a form");
        kernel.send(batch).await.expect("taken");
        assert_eq!(kernel.generation().expect("a generation"), generation + 1);
        let shape = kernel.shape(true).await.expect("a listing");
        let wanted = Shape::of_commands(&after.rebuild(&layout()));
        (listed(), shape.deviation(&wanted))
    });
    assert_eq!(once_more, None, "service {number}");
    let through_nft = in_namespace(async || {
        let kernel = Kernel::default();
        kernel.load(before).await.expect("loaded");
        kernel.load(&change.commands()).await.expect("loaded");
        listed()
    });
    assert_eq!(batched, through_nft, "service {number}");
}

/// A listing with what comes in no order in one, and without what is counted up.
fn ordered(listing: Value) -> Value {
    let all = |list: Vec<Value>| list.into_iter().map(ordered).collect::<Vec<_>>();
    match listing {
        Value::Object(object) => {
            let entries = object.into_iter().filter(|(key, _)| key != "handle");
            let entries = entries.map(|(key, value)| match value {
                Value::Array(list) if key == "nftables" || key == "elem" => {
                    let mut list = all(list);
                    // Of rules the order counts; they stay as they are in their chain.
                    list.sort_by_key(|entry| match entry.get("rule") {
                        Some(rule) => format!("rule of {}", rule["chain"]),
                        None => entry.to_string(),
                    });
                    (key, Value::Array(list))
                }
                other => (key, ordered(other)),
            });
            Value::Object(entries.collect())
        }
        Value::Array(list) => Value::Array(all(list)),
        other => other,
    }
}

#[test]
fn of_a_batch_all_is_taken_or_nothing_and_the_complaint_says_what_of_it() {
    let entry = |set, key: &str, data: &str| ((set, key.to_owned()), data.to_owned());
    let new = entry(Set::ClusterIps, "10.96.0.99", "");
    let refused = |change: Change| {
        in_namespace(async || {
            let kernel = Kernel::default();
            kernel
                .load(&every_kind().rebuild(&layout()))
                .await
                .expect("loaded");
            let generation = kernel.generation().expect("a generation");
            let batch = Batch::of(&change).expect("a change that has a form");
            let error = kernel.send(batch).await.expect_err("refused");
            assert_eq!(kernel.generation().expect("a generation"), generation);
            let listing = sh("nft list set ip hardway-proxy cluster-ips");
            assert!(!listing.contains("10.96.0.99"), "{listing}");
            error.to_string()
        })
    };
    let error = refused(Change {
        gone: [entry(Set::Services, "10.96.0.77 . tcp . 1", "drop")].into(),
        added: [new.clone()].into(),
        ..Change::default()
    });
    assert_eq!(
        error,
        "the kernel refused a change of the rules: delete elements of services: \
         No such file or directory (os error 2)"
    );
    let error = refused(Change {
        added: [
            new,
            entry(Set::Services, "10.96.0.77 . tcp . 1", "goto nowhere"),
        ]
        .into(),
        ..Change::default()
    });
    assert!(
        error.contains("add elements to services: No such file"),
        "{error}"
    );
}

/// Elements and chains come in the order in which they were added.
fn sorted(ruleset: &str) -> Vec<String> {
    let mut words: Vec<String> = ruleset
        .split(['\n', ','])
        .map(|word| {
            word.trim()
                .trim_start_matches("elements = { ")
                .trim_end_matches(" }")
                .to_owned()
        })
        .filter(|word| !word.is_empty())
        .collect();
    words.sort();
    words.dedup();
    words
}
