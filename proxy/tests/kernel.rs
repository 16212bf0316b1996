//! The kernel takes the rules: tried in a network namespace of its own, so
//! the host's rules are not touched. Needs root.

use hardway_proto::meta::ObjectKey;
use hardway_proxy::desired::{Change, Desired};
use hardway_proxy::elements::of_service;
use hardway_proxy::ruleset::Layout;
use hardway_proxy::service::{Endpoint, Port, Protocol};
use hardway_proxy::shape::Shape;
use std::io::Write;
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
    let mut script = String::new();
    for (at, _) in texts.iter().enumerate() {
        script.push_str(&format!("nft -f \"$DIR/{at}\" || exit 1\n"));
    }
    script.push_str("nft list ruleset\n");
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (at, text) in texts.iter().enumerate() {
        let mut file = std::fs::File::create(dir.path().join(at.to_string())).expect("a file");
        file.write_all(text.as_bytes()).expect("written");
    }
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", &script])
        .env("DIR", dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    assert!(
        output.status.success(),
        "refused: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_kind_of_service_loads_and_changes() {
    let layout = Layout {
        cluster_cidr: "10.244.0.0/16".parse().expect("a range"),
    };
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

/// Runs a script in a network namespace of its own, with these commands in the
/// file $TABLE; returns what it printed.
fn in_namespace(commands: &str, script: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let table = dir.path().join("table");
    std::fs::write(&table, commands).expect("written");
    let output = Command::new("unshare")
        .args(["--net", "sh", "-ec", script])
        .env("TABLE", &table)
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "refused: {complaint}");
    output.stdout
}

#[test]
fn what_others_do_to_the_table_shows() {
    let layout = Layout {
        cluster_cidr: "10.244.0.0/16".parse().expect("a range"),
    };
    let mut desired = Desired::default();
    for (at, endpoints, affinity, local) in [
        (1, 3, None, false),
        (2, 3, Some(60), false),
        (3, 2, None, true),
        (4, 0, None, false),
        (5, 2, Some(10), true),
    ] {
        let key = ObjectKey::new("default", at.to_string());
        let elements = of_service(&[service(at, endpoints, affinity, local)]);
        desired.replace(&key, elements, &mut Change::default());
    }
    let commands = desired.rebuild(&layout);
    let wanted = Shape::of_commands(&commands);
    let after = |change: &str, counted: bool| {
        let terse = if counted { "" } else { "--terse" };
        let list = format!("nft --json {terse} list table ip hardway-proxy");
        let script = format!("nft -f $TABLE; {change}\n{list}");
        let listing = in_namespace(&commands, &script);
        Shape::of_listing(&listing, counted)
            .expect("a listing")
            .deviation(&wanted)
    };
    for counted in [true, false] {
        assert_eq!(after("", counted), None, "nobody did anything");
        assert!(after("nft flush table ip hardway-proxy", counted).is_some());
        let flushed = after("nft flush chain ip hardway-proxy dispatch", counted);
        assert_eq!(
            flushed.as_deref(),
            Some("chain dispatch has 0 rules instead of 4")
        );
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
