//! Containers that end when they should not: exit codes, signals, memory, programs not found.

use crate::causes::Cause;
use crate::causes::containers::{self, Container, Ended};
use crate::cluster::Cluster;
use crate::diagnosis::Source;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::snapshot::LogRequest;
use crate::words::{count, one_line};

pub(super) const CAUSE: Cause = Cause {
    name: "crash",
    about: "a container that ends, is killed, or can't be started",
    kinds: &["Pod"],
    reads: &["Event"],
    find,
};

/// A restart that is further back says nothing of how things are now.
const RECENT: i64 = 600;

fn find<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Vec<Finding> {
    let mut all = Vec::new();
    for container in containers::all(pod) {
        let reason = container.waiting().map_or("", |it| it.0);
        let cannot_start = matches!(
            reason,
            "CreateContainerError"
                | "RunContainerError"
                | "PostStartHookError"
                | "PreCreateHookError"
        );
        if cannot_start {
            all.push(not_started(cluster, pod, &container));
        } else if let Some(ended) = container
            .ended()
            .filter(|it| is_bad(cluster, pod, &container, it))
        {
            all.push(crashed(cluster, pod, &container, &ended));
        }
    }
    all
}

/// Whether an end tells of trouble that is not over.
fn is_bad(
    cluster: &Cluster<'_>,
    pod: &Object<'_>,
    container: &Container<'_>,
    ended: &Ended<'_>,
) -> bool {
    let waits = container
        .waiting()
        .is_some_and(|it| it.0 == "CrashLoopBackOff");
    if container.is_running() {
        // It runs again: a recent end by failure, and more than one, is worth a word.
        let recent = ended
            .at
            .is_some_and(|at| cluster.seconds_since(at) < RECENT);
        return ended.code != 0 && recent && container.restarts() > 1;
    }
    let is_job = pod.value.text("/spec/restartPolicy") == Some("Never");
    waits || (ended.code != 0 && (is_job || !container.status.flag("/ready")))
}

/// What an exit code means, for those that have a meaning everywhere.
fn meaning(ended: &Ended<'_>) -> String {
    if ended.reason == "OOMKilled" {
        return "was killed for using more memory than its limit (OOMKilled)".to_owned();
    }
    if lacks_program(ended.message) {
        return "can't start: its command was not found in the image".to_owned();
    }
    if ended.reason == "DeadlineExceeded" {
        return "was ended because its time was over".to_owned();
    }
    let signal = ended
        .signal
        .or((129..=159).contains(&ended.code).then(|| ended.code - 128));
    let name = match signal {
        Some(4) => "SIGILL, an instruction this processor has not",
        Some(6) => "SIGABRT, which it sent itself",
        Some(7) => "SIGBUS",
        Some(8) => "SIGFPE",
        Some(9) => "SIGKILL: a probe, the kernel for want of memory, or somebody ended it by force",
        Some(11) => "SIGSEGV, a fault of memory in the program",
        Some(13) => "SIGPIPE",
        Some(15) => "SIGTERM",
        Some(_) => "a signal",
        None => "",
    };
    match (ended.code, signal) {
        (code, Some(_)) => format!("ended with code {code}: {name}"),
        (0, None) => "ends by itself (code 0), and is started anew each time".to_owned(),
        (125, None) => "ended with code 125: the runtime could not run it".to_owned(),
        (126, None) => "ended with code 126: its command is no program that may be run".to_owned(),
        (127, None) => "ended with code 127: its command was not found".to_owned(),
        (code, None) => format!("ended with code {code}"),
    }
}

/// Whether a runtime's words say that there is no such program.
fn lacks_program(words: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("no such file or directory") || words.contains("executable file not found")
}

fn crashed<'a>(
    cluster: &Cluster<'a>,
    pod: &Object<'a>,
    container: &Container<'a>,
    ended: &Ended<'a>,
) -> Finding {
    let again = match container.restarts() {
        0 => String::new(),
        restarts => format!(
            ", started {} again",
            count(restarts.unsigned_abs() as usize, "time")
        ),
    };
    let summary = format!("{container} {}{again}", meaning(ended));
    let finding = match container.is_running() {
        true => Finding::warning(summary),
        false => Finding::error(summary),
    };
    let mut said = container.says(pod, ended.field, said(ended));
    said.since = ended.at;
    let waiting = container.waiting().map(|(reason, message)| {
        container.says(
            pod,
            "state/waiting",
            format!("{reason}: {}", one_line(message)),
        )
    });
    let event = cluster.event(pod, &["BackOff"]).map(|it| it.evidence());
    let log = log(cluster, pod, container);
    let finding = finding
        .since(ended.at)
        .key(container.name)
        .says([said])
        .says(waiting)
        .says(event.filter(|_| !container.is_running()))
        .says(log.clone());
    let previous = if container.waiting().is_some() || container.is_running() {
        " --previous"
    } else {
        ""
    };
    let logs = format!(
        "kubectl logs {} -c {}{}{previous}",
        pod.name(),
        container.name,
        pod.flag()
    );
    match (ended.reason, ended.code) {
        _ if lacks_program(ended.message) => finding.advise(
            "correct the container's command: the first word must be a program of the image",
        ),
        ("OOMKilled", _) => {
            let limit = container.spec.text("/resources/limits/memory");
            let limit = limit.map_or_else(
                || "the node's memory was used up; give it a request and a limit".to_owned(),
                |it| format!("raise its memory limit, now {it}, or have it use less"),
            );
            finding.advise(limit).run("read what it did", logs)
        }
        (_, 0) => finding.advise(
            "a container of this pod must go on running: have its command stay, or make it a Job",
        ),
        (_, 126 | 127) => finding
            .advise("correct its command and args; the image may lack the program")
            .run("read its log", logs),
        _ => finding.run("read its log", logs),
    }
}

fn said(ended: &Ended<'_>) -> String {
    let code = match ended.signal {
        Some(signal) => format!("exit code {}, signal {signal}", ended.code),
        None => format!("exit code {}", ended.code),
    };
    match (ended.reason, ended.message) {
        ("", "") => code,
        (reason, "") => format!("{reason}, {code}"),
        (reason, message) => format!("{reason}, {code}: {}", one_line(message)),
    }
}

fn log<'a>(
    cluster: &Cluster<'a>,
    pod: &Object<'a>,
    container: &Container<'a>,
) -> Option<crate::diagnosis::Evidence> {
    let request = |previous| LogRequest {
        namespace: pod.namespace().to_owned(),
        pod: pod.name().to_owned(),
        container: container.name.to_owned(),
        previous,
    };
    let logs = &cluster.snapshot.logs;
    let read = logs
        .get(&request(true))
        .or_else(|| logs.get(&request(false)))?;
    let lines = match read {
        Ok(lines) if lines.trim().is_empty() => "its log is empty".to_owned(),
        Ok(lines) => lines.trim_end().to_owned(),
        Err(why) => format!("its log can't be read: {why}"),
    };
    Some(pod.evidence(Source::Log(container.name.to_owned()), lines))
}

fn not_started<'a>(cluster: &Cluster<'a>, pod: &Object<'a>, container: &Container<'a>) -> Finding {
    let (reason, message) = container.waiting().unwrap_or_default();
    let ended = container.ended();
    let words = match ended {
        Some(ended) if message.is_empty() => ended.message,
        _ => message,
    };
    let lower = words.to_lowercase();
    let not_found = lacks_program(words);
    let means = match reason {
        "PostStartHookError" => "its postStart hook fails".to_owned(),
        _ if not_found => "its command was not found in the image".to_owned(),
        _ if lower.contains("permission denied") => "its command may not be run".to_owned(),
        _ => "can't be started".to_owned(),
    };
    let event = cluster
        .event(pod, &["Failed", "FailedPostStartHook"])
        .map(|it| it.evidence());
    let finding = Finding::error(format!("{container}: {means}"))
        .key(container.name)
        .says([container.says(
            pod,
            "state/waiting",
            format!("{reason}: {}", one_line(words)),
        )])
        .says(event);
    match not_found {
        true => finding.advise(
            "correct the container's command: the first word must be a program of the image",
        ),
        false => finding.run("see what the runtime says", pod.kubectl("describe")),
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{NOW, found, one, says, snapshot};
    use crate::{FollowUp, LogRequest, follow_ups, problems};
    use serde_json::{Value, json};

    fn pod(status: Value) -> (&'static str, Value) {
        let pod = json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"nodeName": "a", "containers": [{"name": "web", "image": "web",
                "resources": {"limits": {"memory": "64Mi"}}}]},
            "status": {"phase": "Running", "containerStatuses": [status]}});
        ("Pod", pod)
    }

    fn looping(ended: Value) -> Value {
        json!({"name": "web", "restartCount": 3, "lastState": {"terminated": ended},
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting \
                failed container=web pod=web_default(1)"}}})
    }

    #[test]
    fn ends_are_told_by_what_they_mean() {
        let cases = [
            (
                json!({"exitCode": 137, "reason": "OOMKilled"}),
                "more memory than its limit",
            ),
            (
                json!({"exitCode": 1, "reason": "Error"}),
                "ended with code 1, started 3 times again",
            ),
            (json!({"exitCode": 139, "reason": "Error"}), "SIGSEGV"),
            (
                json!({"exitCode": 127, "reason": "Error"}),
                "its command was not found",
            ),
            (
                json!({"exitCode": 0, "reason": "Completed"}),
                "ends by itself",
            ),
        ];
        for (ended, means) in cases {
            let told = one(&[pod(looping(ended))]);
            assert_eq!(told.cause, "crash");
            assert!(told.summary.contains(means), "{means}: {}", told.summary);
            says(&told, "CrashLoopBackOff: back-off 40s");
        }
        let told = one(&[pod(looping(
            json!({"exitCode": 137, "reason": "OOMKilled"}),
        ))]);
        assert_eq!(
            told.remedies[0].advice,
            "raise its memory limit, now 64Mi, or have it use less"
        );
    }

    #[test]
    fn the_log_is_asked_for_and_told() {
        let mut snapshot = snapshot(&[pod(looping(json!({"exitCode": 1})))]);
        let wanted = follow_ups(&snapshot, None);
        let request = LogRequest {
            namespace: "default".into(),
            pod: "web".into(),
            container: "web".into(),
            previous: false,
        };
        assert_eq!(wanted, [FollowUp::Log(request.clone())]);
        snapshot.put_log(request, Ok("starting\npanic: no database\n".into()));
        says(&problems(&snapshot, None)[0], "panic: no database");
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let message = "failed to create containerd task: failed to create shim task: OCI runtime create \
            failed: runc create failed: unable to start container process: exec: \"nosuch\": executable \
            file not found in $PATH: unknown";
        for state in [
            json!({"name": "web", "state": {"waiting": {"reason": "RunContainerError", "message": message}}}),
            json!({"name": "web", "state": {"waiting": {"reason": "CreateContainerError", "message": message}}}),
        ] {
            let told = one(&[pod(state)]);
            assert_eq!(
                told.summary,
                "container web: its command was not found in the image"
            );
        }
    }

    #[test]
    fn what_ended_well_or_runs_again_is_no_trouble() {
        let well =
            json!({"name": "web", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        assert_eq!(found(&[pod(well)]), []);
        let running = |finished: &str| {
            json!({"name": "web", "ready": true, "restartCount": 2, "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": finished}}})
        };
        assert_eq!(found(&[pod(running("2024-12-31T00:00:00Z"))]), []);
        assert_eq!(one(&[pod(running(NOW))]).severity, crate::Severity::Warning);
    }

    #[test]
    fn an_init_container_holds_the_others() {
        let pod = json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"nodeName": "a", "initContainers": [{"name": "setup", "image": "s"}],
                "containers": [{"name": "web", "image": "web"}]},
            "status": {"phase": "Pending", "initContainerStatuses": [{"name": "setup", "restartCount": 2,
                "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}],
                "containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "PodInitializing"}}}]}});
        let told = one(&[("Pod", pod)]);
        assert_eq!(
            told.summary,
            "init container setup ended with code 3, started 2 times again"
        );
    }
}
