//! What tens of thousands of Services cost. Measures rather than tests, so it
//! runs only when asked for:
//! `cargo test --release -p hardway-proxy --test scale -- --ignored --nocapture`

use hardway_proto::meta::ObjectKey;
use hardway_proxy::conntrack::{Conntrack, Stale};
use hardway_proxy::desired::{Change, Desired};
use hardway_proxy::elements::of_service;
use hardway_proxy::nft::{Kernel, Nft};
use hardway_proxy::ruleset::Layout;
use hardway_proxy::service::{Endpoint, Port, Protocol};
use hardway_proxy::table::Table;
use nix::sched::{CloneFlags, unshare};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Single changes of each kind.
const CHANGES: u32 = 21;

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

/// Nothing here is UDP.
struct NoConntrack;

impl Conntrack for NoConntrack {
    async fn forget(&self, _: &Stale) -> Result<(), String> {
        Ok(())
    }
}

/// What a Service with fewer endpoints, or all again, changes.
fn change(desired: &mut Desired, number: u32, endpoints: u8) -> Change {
    let mut change = Change::default();
    let key = ObjectKey::new("default", number.to_string());
    let elements = of_service(&[service(number, endpoints)]);
    desired.replace(&key, elements, &mut change);
    change
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Builds a table of so many Services in a network namespace of its own, and
/// changes one of them again and again.
async fn measure(services: u32) {
    let layout = Layout {
        cluster_cidr: "10.244.0.0/16".parse().expect("a range"),
    };
    let started = Instant::now();
    let mut desired = Desired::default();
    for number in 0..services {
        change(&mut desired, number, 5);
    }
    println!("{services} Services read: {:?}", started.elapsed());
    let started = Instant::now();
    let text = desired.rebuild(&layout);
    println!("  all as text: {:?}", started.elapsed());
    drop(text);
    let kernel = Kernel::default();
    let mut table = Table::new(layout, kernel.clone(), NoConntrack);
    let started = Instant::now();
    let built = table.apply(&Change::default(), &desired).await;
    built.expect("built");
    println!("  full build, text included: {:?}", started.elapsed());

    let (mut over_netlink, mut through_nft) = (Vec::new(), Vec::new());
    for turn in 0..CHANGES {
        let number = services / 2 + turn;
        let started = Instant::now();
        let less = change(&mut desired, number, 4);
        table.apply(&less, &desired).await.expect("changed");
        over_netlink.push(started.elapsed());
        let started = Instant::now();
        let again = change(&mut desired, number, 5);
        kernel.load(&again.commands()).await.expect("changed");
        through_nft.push(started.elapsed());
    }
    println!("  one endpoint less: {:?}", median(over_netlink));
    println!("  one more, through nft: {:?}", median(through_nft));
    for what in ["somebody changed rules", "nobody did"] {
        let started = Instant::now();
        table.check(&desired).await.expect("looked at");
        println!(
            "  looking whether all is there, {what}: {:?}",
            started.elapsed()
        );
    }
    assert!(!table.is_behind());
}

#[test]
#[ignore = "a measurement"]
fn many_services() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a namespace, which takes root");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for services in [10_000, 44_000] {
        runtime.block_on(measure(services));
    }
}
