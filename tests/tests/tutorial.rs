//! `cargo hardway tutorial`: the walk a reader takes, from the first chapter to the last.

use std::time::Duration;

use hardway_tests::{Kubectl, Lab, defer, until, wait};

/// The whole walk is ended after so long. It takes a minute on a machine with nothing else
/// to do, and several times that on one that is busy.
const LONGEST: Duration = Duration::from_secs(900);

/// Services of tests before may be on their way out; the walk would not wait for them.
fn wait_for_ports(kubectl: &Kubectl) {
    until("the tutorial's node ports are free", || {
        let services = kubectl.try_json("get services --all-namespaces")?;
        let services = services["items"].as_array().into_iter().flatten();
        let ports = services.filter_map(|service| service["spec"]["ports"].as_array());
        let taken = ports.flatten().find(|port| {
            [30061, 30062]
                .iter()
                .any(|taken| port["nodePort"] == *taken)
        });
        wait::holds(taken.is_none(), format!("{taken:?}"))
    });
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_tutorial_can_be_walked_and_leaves_nothing_behind() {
    let lab = Lab::open();
    let kubectl = Kubectl::stock();
    wait_for_ports(&kubectl);
    let walk = lab.try_tool_within(LONGEST, "tutorial");
    assert!(walk.success, "{}{}", walk.stdout, walk.stderr);

    let (_, summary) = walk.stdout.rsplit_once("\nSummary\n").expect("a summary");
    println!("{summary}");
    for chapter in 1..=5 {
        let good = format!("  ✓ chapter {chapter}  ");
        assert!(summary.contains(&good), "{summary}");
    }
    let last = summary.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split(' ').collect();
    assert!(
        words[0] == words[2] && last.contains(" steps went well, in "),
        "{last}"
    );
    // What the chapters promise to count.
    let failed = walk.stdout.matches(" requests, 0 failed").count();
    assert_eq!(failed, 2, "{}", walk.stdout);
    assert!(walk.stdout.contains("the version was 1, then 2, then 1"));

    let namespaces = kubectl.run("get namespaces -o name");
    assert!(!namespaces.contains("tutorial-"), "{namespaces}");
    let nodes = kubectl.run("get nodes");
    assert!(!nodes.contains("SchedulingDisabled"), "{nodes}");
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_walk_cleans_up_after_a_failure_and_what_another_left() {
    let lab = Lab::open();
    let kubectl = Kubectl::stock();
    wait_for_ports(&kubectl);
    // As a walk that was killed would have left it.
    kubectl.run("create namespace tutorial-2");
    kubectl.run("label namespace tutorial-2 hardway.example/tutorial=walk");
    let namespaced = kubectl.namespace("tutorial-2");
    namespaced.run("create service nodeport left --tcp=9999 --node-port=30062");
    // In its way, in a namespace of somebody else.
    let other = hardway_tests::Namespace::new("elsewhere");
    other.run("create service nodeport mine --tcp=3000 --node-port=30061");

    let walk = lab.try_tool("tutorial --chapter 2");
    assert!(!walk.success, "{}", walk.stdout);
    let told = walk.stderr;
    assert!(
        told.contains(&format!(
            "kubectl delete service mine --namespace {}",
            other.name
        )),
        "{told}"
    );
    until("what was left is gone", || {
        let left = kubectl.try_run("get namespace tutorial-2");
        wait::holds(left.stderr.contains("(NotFound)"), format!("{left:?}"))
    });
    other.run("delete service mine");

    // A namespace that is not the walk's: the chapter fails, and leaves it alone.
    kubectl.run("create namespace tutorial-4");
    let _gone = defer(|| drop(Kubectl::stock().try_run("delete namespace tutorial-4")));
    let walk = lab.try_tool("tutorial --chapter 4");
    assert!(!walk.success, "{}", walk.stdout);
    assert!(walk.stdout.contains("already exists"), "{}", walk.stdout);
    assert!(walk.stdout.contains("✗ chapter 4"), "{}", walk.stdout);
    kubectl.run("get namespace tutorial-4");
}
