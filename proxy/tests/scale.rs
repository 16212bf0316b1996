//! What ten thousand Services cost. Measures rather than tests, so it runs
//! only when asked for:
//! `cargo test --release -p hardway-proxy --test scale -- --ignored --nocapture`

use hardway_proto::meta::ObjectKey;
use hardway_proxy::desired::{Change, Desired};
use hardway_proxy::elements::of_service;
use hardway_proxy::ruleset::Layout;
use hardway_proxy::service::{Endpoint, Port, Protocol};
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Instant;

const SERVICES: u32 = 10_000;

fn service(number: u32, endpoints: u8) -> Port {
    let endpoints: Vec<Endpoint> = (0..endpoints)
        .map(|at| Endpoint {
            ip: Ipv4Addr::from(
                u32::from(Ipv4Addr::new(10, 244, 0, 0)) + number * 5 + u32::from(at),
            ),
            port: 8080,
            local: at == 0,
        })
        .collect();
    Port {
        cluster_ips: vec![Ipv4Addr::from(
            u32::from(Ipv4Addr::new(10, 96, 0, 1)) + number,
        )],
        external_ips: vec![],
        guarded_ips: vec![],
        sources: vec![],
        protocol: Protocol::Tcp,
        port: 80,
        node_port: None,
        affinity: None,
        internal: endpoints.clone(),
        external: endpoints.clone(),
        endpoints,
        external_local: false,
    }
}

#[test]
#[ignore = "a measurement"]
fn ten_thousand_services() {
    let layout = Layout {
        cluster_cidr: "10.244.0.0/16".parse().expect("a range"),
    };
    let started = Instant::now();
    let mut desired = Desired::default();
    for number in 0..SERVICES {
        let key = ObjectKey::new("default", number.to_string());
        desired.replace(
            &key,
            of_service(&[service(number, 5)]),
            &mut Change::default(),
        );
    }
    let full = desired.rebuild(&layout);
    println!("{SERVICES} services as text: {:?}", started.elapsed());
    let started = Instant::now();
    let mut change = Change::default();
    let key = ObjectKey::new("default", "5000");
    desired.replace(&key, of_service(&[service(5000, 4)]), &mut change);
    let one = change.commands();
    println!("one endpoint less as text: {:?}", started.elapsed());

    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("full"), full).expect("written");
    std::fs::write(dir.path().join("one"), one).expect("written");
    let script = "T0=$(date +%s%N); nft -f full || exit 1; T1=$(date +%s%N); nft -f one || exit 1; \
                  T2=$(date +%s%N); echo full build: $(((T1-T0)/1000000)) ms; \
                  echo one change: $(((T2-T1)/1000000)) ms";
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .current_dir(dir.path())
        .output()
        .expect("unshare runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{}", String::from_utf8_lossy(&output.stdout));
}
