//! Jobs and CronJobs with a stock kubectl: each pod's end counts once, also when the
//! controller manager is killed in the middle; what ends a Job, holds it and clears it away.

use hardway_tests::manifest::{IDLE, container};
use hardway_tests::wait::holds;
use hardway_tests::{Lab, Namespace, defer, steps, until};
use serde_json::{Value, json};

struct Jobs {
    namespace: Namespace,
    lab: Lab,
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn jobs_run_to_their_end() {
    let jobs = Jobs {
        namespace: Namespace::new("jobs"),
        lab: Lab::open(),
    };
    // Each has Jobs of its own, and mostly waits.
    let steps: &[steps::Step<Jobs>] = &[
        ("each index counts once, whoever is killed", indexed),
        ("suspend and resume", suspended),
        ("what a policy says of a failure", failure_policy),
        ("what is enough", success_policy),
        ("time is over", deadline),
        ("gone after a while", time_to_live),
        ("by a timetable", cron_job),
        ("what is refused", refused),
    ];
    steps::run_side_by_side(&jobs, &jobs.namespace, steps);
}

/// Two of the indexes fail, twice each; the whole control plane is killed in the middle.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn fifty_indexes_count_though_the_control_plane_is_killed() {
    let jobs = Jobs {
        namespace: Namespace::new("fifty"),
        lab: Lab::open(),
    };
    let script = "case $JOB_COMPLETION_INDEX in 7|42) exit 1;; esac";
    let spec = json!({"completionMode": "Indexed", "completions": 50, "parallelism": 10,
        "backoffLimitPerIndex": 1});
    jobs.namespace.create(&job("fifty", script, spec));
    until("some indexes are done", || {
        let status = jobs.namespace.try_json("get job fifty")?["status"].clone();
        holds(status["succeeded"].as_i64() >= Some(12), status)
    });
    let processes = ["etcd", "apiserver", "controller-manager", "scheduler"];
    let start = || processes.map(|process| jobs.lab.try_tool(&format!("start {process}")));
    let _back = defer(|| drop(start()));
    for process in processes {
        jobs.lab.tool(&format!("kill {process}"));
    }
    start();
    jobs.lab.wait_well();
    let status = jobs.ended("fifty", "Failed");
    assert_eq!(reason(&status, "Failed"), "FailedIndexes", "{status}");
    assert_eq!(status["completedIndexes"], "0-6,8-41,43-49", "{status}");
    assert_eq!(status["failedIndexes"], "7,42", "{status}");
    let counts = ["succeeded", "failed", "ready", "terminating"].map(|field| &status[field]);
    assert_eq!(counts, [48, 4, 0, 0], "{status}");
    let pods = jobs.pods("fifty");
    assert_eq!(pods.len(), 52, "no index had one too many");
}

fn job(name: &str, script: &str, mut spec: Value) -> Value {
    spec["template"] = json!({"spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
        "containers": [container("main", script)],
    }});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
}

impl Jobs {
    /// Waits until a Job has ended so; tells its status.
    #[track_caller]
    fn ended(&self, name: &str, condition: &str) -> Value {
        until(&format!("job {name} is {condition}"), || {
            let status = self.namespace.try_json(&format!("get job {name}"))?["status"].clone();
            holds(conditions(&status).contains(&condition), &status)?;
            Ok(status)
        })
    }

    fn pods(&self, job: &str) -> Vec<Value> {
        let list = self.namespace.json(&format!("get pods -l job-name={job}"));
        list["items"].as_array().cloned().unwrap_or_default()
    }
}

/// The conditions that are true.
fn conditions(status: &Value) -> Vec<&str> {
    let all = status["conditions"].as_array().into_iter().flatten();
    let all = all.filter(|condition| condition["status"] == "True");
    all.filter_map(|condition| condition["type"].as_str())
        .collect()
}

fn reason<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    let condition = all.find(|condition| condition["type"] == kind);
    condition.map_or(&Value::Null, |condition| &condition["reason"])
}

fn indexed(jobs: &Jobs) {
    let script = "test $(hostname) = indexed-$JOB_COMPLETION_INDEX || exit 9
        case $JOB_COMPLETION_INDEX in 3|11) exit 1;; esac";
    let spec = json!({"completionMode": "Indexed", "completions": 16, "parallelism": 4,
        "backoffLimitPerIndex": 0});
    jobs.namespace.create(&job("indexed", script, spec));
    until("some indexes are done", || {
        let status = jobs.namespace.try_json("get job indexed")?["status"].clone();
        holds(status["succeeded"].as_i64() >= Some(3), status)
    });
    jobs.lab.tool("kill controller-manager");
    jobs.lab.tool("start controller-manager");
    let status = jobs.ended("indexed", "Failed");
    assert_eq!(reason(&status, "Failed"), "FailedIndexes", "{status}");
    assert_eq!(status["completedIndexes"], "0-2,4-10,12-15", "{status}");
    assert_eq!(status["failedIndexes"], "3,11", "{status}");
    let counts = ["succeeded", "failed", "ready", "terminating"].map(|field| &status[field]);
    assert_eq!(counts, [14, 2, 0, 0], "{status}");
    assert_eq!(status["uncountedTerminatedPods"], json!({}), "{status}");
    let pods = jobs.pods("indexed");
    assert_eq!(pods.len(), 16, "no index had two");
    let held = |pod: &&Value| !pod["metadata"]["finalizers"].is_null();
    assert_eq!(pods.iter().find(held), None);
}

fn suspended(jobs: &Jobs) {
    let kubectl = &jobs.namespace;
    let spec = json!({"parallelism": 2, "completions": 2, "suspend": true});
    kubectl.create(&job("held", IDLE, spec));
    let told = |what: &str, so: &dyn Fn(&Value) -> bool| {
        until(what, || {
            let status = kubectl.try_json("get job held")?["status"].clone();
            holds(so(&status), &status)?;
            Ok(status)
        })
    };
    let is_held = |status: &Value| conditions(status).contains(&"Suspended");
    let status = told("it is held", &is_held);
    assert_eq!(status["startTime"], Value::Null);
    let set = |suspend: bool| {
        kubectl.run(&format!(
            "patch job held -p '{}'",
            json!({"spec": {"suspend": suspend}})
        ));
    };
    set(false);
    told("it runs", &|status| {
        status["ready"] == 2 && status["active"] == 2
    });
    set(true);
    let status = told("its pods are gone", &|status| {
        is_held(status) && status["terminating"] == 0
    });
    assert_eq!(status["failed"], Value::Null, "they don't count: {status}");
    assert_eq!(jobs.pods("held").len(), 0);
    set(false);
    told("it runs again", &|status| status["ready"] == 2);
    let events = kubectl.run("get events --field-selector involvedObject.name=held");
    for event in [
        "Suspended",
        "Job suspended",
        "Resumed",
        "Job resumed",
        "Created pod: held-",
    ] {
        assert!(events.contains(event), "{event}: {events}");
    }
    kubectl.run("delete job held --cascade=foreground");
    assert_eq!(jobs.pods("held").len(), 0);
}

fn failure_policy(jobs: &Jobs) {
    let policy = json!({"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]});
    let spec = json!({"parallelism": 2, "completions": 4, "podFailurePolicy": policy});
    jobs.namespace.create(&job("policy", "exit 42", spec));
    let status = jobs.ended("policy", "Failed");
    assert_eq!(conditions(&status), ["FailureTarget", "Failed"]);
    assert_eq!(reason(&status, "Failed"), "PodFailurePolicy");
    let message = status["conditions"][0]["message"]
        .as_str()
        .unwrap_or_default();
    let words = "failed with exit code 42 matching FailJob rule at index 0";
    assert!(message.ends_with(words), "{message}");
}

fn success_policy(jobs: &Jobs) {
    let spec = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3,
        "successPolicy": {"rules": [{"succeededIndexes": "1"}]}});
    let script = format!("[ $JOB_COMPLETION_INDEX = 1 ] && exit 0; {IDLE}");
    jobs.namespace.create(&job("enough", &script, spec));
    let status = jobs.ended("enough", "Complete");
    assert_eq!(conditions(&status), ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(reason(&status, "Complete"), "SuccessPolicy");
    assert_eq!(
        (&status["succeeded"], &status["completedIndexes"]),
        (&json!(1), &json!("1"))
    );
    assert_eq!(status["failed"], Value::Null, "{status}");
}

fn deadline(jobs: &Jobs) {
    let spec = json!({"activeDeadlineSeconds": 1, "backoffLimit": 0});
    jobs.namespace.create(&job("late", IDLE, spec));
    let status = jobs.ended("late", "Failed");
    assert_eq!(reason(&status, "Failed"), "DeadlineExceeded");
    assert_eq!(status["failed"], 1, "{status}");
}

fn time_to_live(jobs: &Jobs) {
    let spec = json!({"ttlSecondsAfterFinished": 1});
    jobs.namespace.create(&job("short", "exit 0", spec));
    until("it is gone, and so are its pods", || {
        let left = jobs
            .namespace
            .try_run("get jobs,pods -l job-name=short -o name")
            .ok()?;
        let there = jobs
            .namespace
            .try_run("get job short --ignore-not-found -o name")
            .ok()?;
        holds(
            left.is_empty() && there.is_empty(),
            format!("{left}{there}"),
        )
    });
}

fn cron_job(jobs: &Jobs) {
    let kubectl = &jobs.namespace;
    let template = job("", "exit 0", json!({}));
    let mut cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "often"},
        "spec": {"schedule": "@every 2s", "timeZone": "Asia/Tokyo", "concurrencyPolicy": "Forbid",
            "jobTemplate": {"metadata": {"labels": {"from": "often"}}, "spec": template["spec"]}}});
    kubectl.create(&cron);
    let done = until("a Job was started, and is done", || {
        let status = kubectl.try_json("get cronjob often")?["status"].clone();
        holds(!status["lastSuccessfulTime"].is_null(), status)?;
        Ok(kubectl.try_json("get jobs -l from=often")?["items"][0].clone())
    });
    let meta = &done["metadata"];
    assert_eq!(meta["ownerReferences"][0]["name"], "often");
    let scheduled = &meta["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    let scheduled = scheduled.as_str().unwrap_or_default();
    assert!(scheduled.ends_with("+09:00"), "{scheduled}");
    let name = meta["name"].as_str().unwrap_or_default();
    let minute = name
        .strip_prefix("often-")
        .and_then(|minute| minute.parse::<u32>().ok());
    assert!(minute.is_some(), "{name}");
    let events = kubectl.run("get events --field-selector involvedObject.name=often");
    for event in ["Created job often-", "Saw completed job: often-"] {
        assert!(events.contains(event), "{event}: {events}");
    }
    kubectl.run(r#"patch cronjob often -p '{"spec":{"suspend":true}}'"#);
    let made = kubectl.run("create job by-hand --from=cronjob/often");
    assert_eq!(made, "job.batch/by-hand created\n");
    jobs.ended("by-hand", "Complete");
    kubectl.run("delete cronjob often");
    until("its Jobs go with it", || {
        let left = kubectl.try_run("get jobs -l from=often -o name").ok()?;
        holds(left.is_empty(), left)
    });
    cron["metadata"]["name"] = json!("never");
    for (field, value, words) in [
        (
            "schedule",
            "60 * * * *",
            "end of range (60) above maximum (59): 60",
        ),
        (
            "schedule",
            "TZ=UTC 0 * * * *",
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
        ("timeZone", "Mars/Base", "unknown time zone Mars/Base"),
    ] {
        let mut wrong = cron.clone();
        wrong["spec"][field] = json!(value);
        let refusal = kubectl.refused("create -f -", &wrong.to_string());
        assert!(refusal.contains(words), "{refusal}");
    }
}

fn refused(jobs: &Jobs) {
    for (spec, words) in [
        (
            json!({"completionMode": "Indexed"}),
            "spec.completions: Required value: when completion mode is Indexed",
        ),
        (
            json!({"completions": 1, "backoffLimitPerIndex": 1}),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
        ),
        (
            json!({"podFailurePolicy": {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [0]}}]}}),
            "must not be 0 for the In operator",
        ),
    ] {
        let mut wrong = job("wrong", "exit 0", spec.clone());
        // Without parallelism there would be one completion.
        wrong["spec"]["parallelism"] = json!(1);
        let refusal = jobs.namespace.refused("create -f -", &wrong.to_string());
        assert!(refusal.contains(words), "{spec}: {refusal}");
    }
}
