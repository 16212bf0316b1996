use super::*;
use crate::worker::observed::{Instance, Sandbox, State};
use k8s_openapi::api::core::v1::{Container, PodSpec};

fn pod(policy: &str, names: &[&str]) -> Pod {
    Pod {
        spec: Some(PodSpec {
            restart_policy: Some(policy.into()),
            containers: names
                .iter()
                .map(|name| Container {
                    name: (*name).into(),
                    image: Some("image:1".into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn instance(name: &str, state: State, exit_code: i32) -> Instance {
    Instance {
        id: format!("id-{name}"),
        name: name.into(),
        state,
        exit_code,
        started_at: 1_000_000_000,
        finished_at: 2_000_000_000,
        ..Default::default()
    }
}

fn observed(containers: Vec<Instance>) -> Observed {
    let sandbox = Sandbox {
        ready: true,
        ips: vec!["10.0.0.1".into()],
        ..Default::default()
    };
    Observed {
        sandboxes: vec![sandbox],
        containers,
    }
}

fn status(pod: &Pod, observed: &Observed) -> PodStatus {
    compute(pod, observed, &Health::default(), &Notes::default())
}

fn truth(status: &PodStatus, kind: &str) -> String {
    let list = status.conditions.as_ref().unwrap();
    list.iter()
        .find(|c| c.type_ == kind)
        .unwrap()
        .status
        .clone()
}

#[test]
fn a_pod_that_comes_up() {
    let pod = pod("Always", &["web"]);
    let pending = status(&pod, &Observed::default());
    assert_eq!(pending.phase.as_deref(), Some("Pending"));
    let state = pending.container_statuses.as_ref().unwrap()[0]
        .state
        .clone();
    let reason = state.unwrap().waiting.unwrap().reason;
    assert_eq!(reason.as_deref(), Some("ContainerCreating"));
    assert_eq!(truth(&pending, "PodReadyToStartContainers"), "False");
    let running = status(&pod, &observed(vec![instance("web", State::Running, 0)]));
    assert_eq!(running.phase.as_deref(), Some("Running"));
    assert_eq!(truth(&running, "Ready"), "True");
    assert_eq!(running.pod_ip.as_deref(), Some("10.0.0.1"));
    assert_eq!(running.qos_class.as_deref(), Some("BestEffort"));
}

#[test]
fn phases_of_pods_that_ended() {
    for (policy, codes, phase) in [
        ("Never", [0, 0], "Succeeded"),
        ("Never", [0, 1], "Failed"),
        ("OnFailure", [0, 1], "Running"),
        ("Always", [0, 0], "Running"),
    ] {
        let ended = vec![
            instance("a", State::Exited, codes[0]),
            instance("b", State::Exited, codes[1]),
        ];
        let status = status(&pod(policy, &["a", "b"]), &observed(ended));
        assert_eq!(status.phase.as_deref(), Some(phase), "{policy} {codes:?}");
    }
}

#[test]
fn a_container_in_backoff_tells_its_last_end() {
    let pod = pod("Always", &["web"]);
    let ended = observed(vec![instance("web", State::Exited, 3)]);
    let text = "back-off 10s restarting failed container=web pod=a_b(c)";
    let mut notes = Notes::default();
    notes
        .waiting
        .insert("web".into(), ("CrashLoopBackOff".into(), text.into()));
    notes.messages.insert("id-web".into(), "boom".into());
    let status = compute(&pod, &ended, &Health::default(), &notes);
    let web = &status.container_statuses.as_ref().unwrap()[0];
    let waiting = web.state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    let last = web.last_state.clone().unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
    assert_eq!(last.message.as_deref(), Some("boom"));
    assert_eq!(status.phase.as_deref(), Some("Running"));
}

#[test]
fn what_was_cut_off_has_no_end_that_anybody_knows() {
    let pod = pod("Always", &["web"]);
    let last = |state, started_at| {
        let mut cut_off = instance("web", state, 255);
        (cut_off.started_at, cut_off.finished_at) = (started_at, 0);
        let mut now = instance("web", State::Running, 0);
        now.restart_count = 1;
        let status = status(&pod, &observed(vec![now, cut_off]));
        let last = status.container_statuses.unwrap()[0].last_state.clone();
        last.unwrap().terminated.unwrap()
    };
    for state in [State::Exited, State::Unknown] {
        assert_eq!(last(state, 1_000_000_000).finished_at, None);
        assert_eq!(
            last(state, 1_000_000_000).started_at,
            Some(time(1_000_000_000))
        );
    }
    assert_eq!(last(State::Unknown, 0).started_at, None);
    // One that could not be started: kubectl describes it so with Kubernetes, too.
    assert_eq!(last(State::Exited, 0).started_at, Some(time(0)));
}

#[test]
fn readiness_gates_hold_a_pod_back() {
    let mut pod = pod("Always", &["web"]);
    let gate = k8s_openapi::api::core::v1::PodReadinessGate {
        condition_type: "example.com/gate".into(),
    };
    pod.spec.as_mut().unwrap().readiness_gates = Some(vec![gate]);
    let status = status(&pod, &observed(vec![instance("web", State::Running, 0)]));
    assert_eq!(truth(&status, "ContainersReady"), "True");
    assert_eq!(truth(&status, "Ready"), "False");
}

#[test]
fn a_verdict_fails_the_pod() {
    let verdict = Verdict {
        reason: "DeadlineExceeded".into(),
        message: "late".into(),
        rejected: false,
        disruption: false,
    };
    let notes = Notes {
        verdict: Some(verdict),
        ..Default::default()
    };
    let running = observed(vec![instance("web", State::Running, 0)]);
    let status = compute(
        &pod("Always", &["web"]),
        &running,
        &Health::default(),
        &notes,
    );
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn a_pod_that_was_turned_away_shows_no_containers_ever_after() {
    let mut pod = pod("Always", &["web"]);
    let verdict = Verdict {
        reason: "SysctlForbidden".into(),
        message: "no".into(),
        rejected: true,
        disruption: false,
    };
    let notes = Notes {
        verdict: Some(verdict),
        ..Default::default()
    };
    let nothing = observed(Vec::new());
    let at_first = compute(&pod, &nothing, &Health::default(), &notes);
    assert_eq!(at_first.container_statuses, None);
    // As a kubelet finds it that was restarted.
    pod.status = Some(at_first);
    assert_eq!(status(&pod, &nothing).container_statuses, None);
}
