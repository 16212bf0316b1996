use super::super::observed::Sandbox;
use super::*;
use crate::probes::{Kind, Update};
use k8s_openapi::api::core::v1::PodSpec;

const SECOND: i64 = 1_000_000_000;

fn container(name: &str) -> Container {
    Container {
        name: name.into(),
        image: Some("image:1".into()),
        ..Default::default()
    }
}

fn sidecar(name: &str) -> Container {
    Container {
        restart_policy: Some("Always".into()),
        ..container(name)
    }
}

fn pod(policy: &str, init: Vec<Container>, containers: &[&str]) -> Pod {
    Pod {
        spec: Some(PodSpec {
            restart_policy: Some(policy.into()),
            init_containers: Some(init),
            containers: containers.iter().map(|c| container(c)).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn sandbox(ready: bool) -> Sandbox {
    Sandbox {
        id: "s".into(),
        ready,
        ips: vec!["10.0.0.1".into()],
        ..Default::default()
    }
}

fn instance(name: &str, state: State, exit_code: i32) -> Instance {
    Instance {
        id: format!("id-{name}"),
        name: name.into(),
        sandbox: "s".into(),
        state,
        exit_code,
        hash: pod::container_hash(&container(name)),
        finished_at: if state == State::Exited { SECOND } else { 0 },
        ..Default::default()
    }
}

fn observed(ready: bool, containers: Vec<Instance>) -> Observed {
    Observed {
        sandboxes: vec![sandbox(ready)],
        containers,
    }
}

fn plan(pod: &Pod, observed: &Observed) -> Plan {
    decide(&Situation {
        pod,
        observed,
        health: &Health::default(),
        backoff: &Backoff::default(),
        now: 2 * SECOND,
    })
}

fn starts(plan: &Plan) -> Vec<&str> {
    plan.start.iter().map(|s| s.name.as_str()).collect()
}

#[test]
fn a_new_pod_gets_a_sandbox_and_then_its_containers() {
    let pod = pod("Always", vec![], &["a", "b"]);
    assert_eq!(plan(&pod, &Observed::default()).sandbox, Some(0));
    let plan = plan(&pod, &observed(true, vec![]));
    assert_eq!(starts(&plan), ["a", "b"]);
    assert_eq!(plan.sandbox, None);
}

#[test]
fn init_containers_go_one_after_the_other() {
    let pod = pod("Always", vec![container("i"), container("j")], &["a"]);
    assert_eq!(starts(&plan(&pod, &observed(true, vec![]))), ["i"]);
    let running = observed(true, vec![instance("i", State::Running, 0)]);
    assert_eq!(plan(&pod, &running), Plan::default());
    let one = observed(true, vec![instance("i", State::Exited, 0)]);
    assert_eq!(starts(&plan(&pod, &one)), ["j"]);
    let both = vec![
        instance("j", State::Exited, 0),
        instance("i", State::Exited, 0),
    ];
    assert_eq!(starts(&plan(&pod, &observed(true, both))), ["a"]);
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let failed = observed(true, vec![instance("i", State::Exited, 1)]);
    let never = pod("Never", vec![container("i")], &["a"]);
    assert!(plan(&never, &failed).finished);
    let always = pod("Always", vec![container("i")], &["a"]);
    assert_eq!(starts(&plan(&always, &failed)), ["i"]);
}

#[test]
fn sidecars_start_before_and_end_after_the_containers() {
    let pod = pod("Never", vec![sidecar("s"), container("i")], &["a"]);
    assert_eq!(starts(&plan(&pod, &observed(true, vec![]))), ["s"]);
    let up = observed(true, vec![instance("s", State::Running, 0)]);
    assert_eq!(starts(&plan(&pod, &up)), ["i"]);
    let over = vec![
        instance("a", State::Exited, 0),
        instance("s", State::Running, 0),
    ];
    let ending = plan(&pod, &observed(true, over));
    assert_eq!(ending.kill[0].name, "s");
    assert!(!ending.finished);
    let all_over = vec![
        instance("a", State::Exited, 0),
        instance("s", State::Exited, 137),
    ];
    let ended = plan(&pod, &observed(true, all_over));
    assert!(ended.finished && ended.start.is_empty());
}

#[test]
fn ephemeral_containers_run_once() {
    let mut pod = pod("Always", vec![container("i")], &["a"]);
    let ephemeral = serde_json::from_value(serde_json::json!([{"name": "e", "image": "image:1"}]));
    pod.spec.as_mut().unwrap().ephemeral_containers = ephemeral.unwrap();
    let initialising = vec![instance("i", State::Running, 0)];
    assert_eq!(starts(&plan(&pod, &observed(true, initialising))), ["e"]);
    let mut present = vec![instance("a", State::Running, 0)];
    assert_eq!(starts(&plan(&pod, &observed(true, present.clone()))), ["e"]);
    assert_eq!(starts(&plan(&pod, &observed(false, vec![]))), [""; 0]);
    present.push(instance("e", State::Exited, 1));
    assert_eq!(
        plan(&pod, &observed(true, present.clone())),
        Plan::default()
    );
    present.pop();
    let told = serde_json::json!({"ephemeralContainerStatuses": [{"name": "e", "image": "",
        "imageID": "", "ready": false, "restartCount": 0, "containerID": "containerd://e"}]});
    pod.status = Some(serde_json::from_value(told).unwrap());
    assert_eq!(plan(&pod, &observed(true, present)), Plan::default());
}

#[test]
fn restart_policies() {
    let ended = |code| observed(true, vec![instance("a", State::Exited, code)]);
    for (policy, code, comes_again) in [
        ("Always", 0, true),
        ("Always", 1, true),
        ("OnFailure", 0, false),
        ("OnFailure", 1, true),
        ("Never", 1, false),
    ] {
        let plan = plan(&pod(policy, vec![], &["a"]), &ended(code));
        assert_eq!(!plan.start.is_empty(), comes_again, "{policy} {code}");
        assert_eq!(plan.finished, !comes_again, "{policy} {code}");
    }
}

#[test]
fn a_restart_waits_for_its_backoff_and_counts() {
    let pod = pod("Always", vec![], &["a"]);
    let ended = observed(true, vec![instance("a", State::Exited, 1)]);
    assert_eq!(plan(&pod, &ended).start[0].restart_count, 1);
    let mut backoff = Backoff::default();
    backoff.started(&backoff_key(&container("a")), 0, 0);
    let mut situation = Situation {
        pod: &pod,
        observed: &ended,
        health: &Health::default(),
        backoff: &backoff,
        now: 2 * SECOND,
    };
    let waiting = decide(&situation);
    assert!(waiting.start.is_empty());
    assert_eq!(waiting.waiting[0].1.until, 11 * SECOND);
    situation.now = 11 * SECOND;
    assert_eq!(starts(&decide(&situation)), ["a"]);
}

#[test]
fn a_dead_sandbox_is_replaced_unless_all_is_over() {
    let pod_of = |policy| pod(policy, vec![], &["a"]);
    let dead = |code| observed(false, vec![instance("a", State::Exited, code)]);
    let again = plan(&pod_of("Always"), &dead(137));
    assert_eq!(again.sandbox, Some(1));
    assert!(!again.reset, "nothing is left to stop");
    assert!(plan(&pod_of("Never"), &dead(137)).finished);
    assert!(plan(&pod_of("OnFailure"), &dead(0)).finished);
    let running = observed(false, vec![instance("a", State::Running, 0)]);
    assert!(plan(&pod_of("Always"), &running).reset);
}

#[test]
fn a_sandbox_without_an_address_is_replaced() {
    let mut lost = observed(true, vec![]);
    lost.sandboxes[0].ips.clear();
    let again = plan(&pod("Always", vec![], &["a"]), &lost);
    assert!(again.reset);
    assert_eq!(again.sandbox, Some(1));
}

#[test]
fn a_changed_image_replaces_the_container_in_place() {
    let mut pod = pod("Never", vec![], &["a"]);
    pod.spec.as_mut().unwrap().containers[0].image = Some("image:2".into());
    let running = observed(true, vec![instance("a", State::Running, 0)]);
    let kill = &plan(&pod, &running).kill[0];
    assert_eq!(
        kill.message,
        "Container a definition changed, will be restarted"
    );
    let stopped = observed(true, vec![instance("a", State::Exited, 143)]);
    assert_eq!(starts(&plan(&pod, &stopped)), ["a"]);
}

#[test]
fn a_failed_liveness_probe_kills_the_life_it_probed() {
    let mut health = Health::default();
    health.begin("a", "id-a");
    health.apply(&Update {
        pod_uid: String::new(),
        container: "a".into(),
        container_id: "id-a".into(),
        kind: Kind::Liveness,
        success: false,
    });
    let running = observed(true, vec![instance("a", State::Running, 0)]);
    let message = |policy| {
        let pod = pod(policy, vec![], &["a"]);
        let plan = decide(&Situation {
            pod: &pod,
            observed: &running,
            health: &health,
            backoff: &Backoff::default(),
            now: SECOND,
        });
        plan.kill[0].message.clone()
    };
    assert_eq!(
        message("Always"),
        "Container a failed liveness probe, will be restarted"
    );
    assert_eq!(message("Never"), "Container a failed liveness probe");
    health.begin("a", "id-next");
    assert_eq!(health.failure("a", "id-next"), None);
}

#[test]
fn one_that_may_have_other_resources_is_given_its_own() {
    let pod = pod("Always", vec![], &["a"]);
    let mut running = instance("a", State::Running, 0);
    running.resources = Some(Default::default());
    let resize = |instance: &Instance| plan(&pod, &observed(true, vec![instance.clone()])).resize;
    assert!(resize(&running).is_empty());
    running.unsure = true;
    assert_eq!(resize(&running), [("a".to_owned(), "id-a".to_owned())]);
}
