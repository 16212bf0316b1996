//! Facts of Kubernetes' `replica_calculator_test.go`: what pods use and request, what is to
//! come of it.

use super::*;
use serde_json::json;

/// The settings of Kubernetes' test.
fn settings() -> Settings {
    Settings {
        cpu_initialization_period: Duration::from_secs(120),
        initial_readiness_delay: Duration::from_secs(10),
        ..Settings::default()
    }
}

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Pods by a word each: how they are.
fn pods(words: &str) -> Vec<Arc<Pod>> {
    let pod = |(number, word): (usize, &str)| {
        let (mut phase, mut ready, mut started, mut deleted) = ("Running", "True", NOW - 180, None);
        match word {
            "ready" => {}
            "unready" => ready = "False",
            "hot" => started = NOW - 60,
            "hot-unready" => (started, ready) = (NOW - 60, "False"),
            "pending" => (phase, ready) = ("Pending", "False"),
            "failed" => (phase, ready) = ("Failed", "False"),
            "deleted" => (deleted, ready) = (Some(at(NOW)), "False"),
            _ => panic!("{word}"),
        }
        let requests = json!({"requests": {"cpu": "1"}});
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": format!("p{number}"), "deletionTimestamp": deleted},
                "spec": {"containers": [{"name": "a", "resources": requests}]},
                "status": {"phase": phase, "startTime": at(started), "conditions": [
                    {"type": "Ready", "status": ready, "lastTransitionTime": at(started)}]},
            }))
            .unwrap(),
        )
    };
    words.split_whitespace().enumerate().map(pod).collect()
}

fn metrics(levels: &[i64]) -> PodMetrics {
    let metric = |(number, value): (usize, &i64)| {
        let window = SignedDuration::from_secs(60);
        let metric = PodMetric {
            value: *value,
            timestamp: at(NOW - 30),
            window,
        };
        (format!("p{number}"), metric)
    };
    levels.iter().enumerate().map(metric).collect()
}

fn calculate<T>(pods: &[Arc<Pod>], f: impl FnOnce(Calculator<'_>) -> T) -> T {
    f(Calculator {
        pods,
        settings: &settings(),
        now: at(NOW),
    })
}

/// Pods, what they use, replicas, target; replicas and what each uses then.
type Case<T> = (&'static str, &'static [i64], i32, T, i32, T);

#[test]
fn use_of_cpu_as_in_kubernetes() {
    // Pods, what they use, replicas, target; replicas and percent that come of it.
    #[rustfmt::skip]
    let cases: &[Case<i32>] = &[
        ("ready ready ready", &[300, 500, 700], 3, 30, 5, 50),
        ("unready ready ready", &[300, 500, 700], 3, 30, 4, 60),
        ("hot ready ready", &[300, 500, 700], 3, 30, 4, 60),
        ("ready unready unready", &[400, 500, 700], 3, 30, 3, 40),
        ("ready hot-unready hot-unready", &[400, 500, 700], 3, 30, 3, 40),
        ("ready ready failed failed", &[500, 700], 2, 30, 4, 60),
        ("ready ready deleted deleted", &[500, 700], 2, 30, 4, 60),
        ("ready ready ready ready ready", &[100, 300, 500, 250, 250], 5, 50, 3, 28),
        ("ready ready ready unready unready", &[100, 300, 500, 250, 250], 5, 50, 2, 30),
        ("ready pending pending pending pending", &[100], 5, 50, 1, 10),
        ("ready ready ready hot hot", &[100, 300, 500, 250, 250], 5, 50, 2, 30),
        ("ready ready ready ready ready failed failed", &[100, 300, 500, 250, 250], 5, 50, 3, 28),
        ("ready ready ready", &[1010, 1030, 1020], 3, 100, 3, 102),
        // Metrics of pods that aren't its.
        ("ready ready ready ready", &[4000, 9500, 3000, 7000, 3200, 2000], 4, 100, 24, 587),
        // Pods without metrics.
        ("ready ready ready ready", &[400, 95], 4, 100, 3, 24),
        ("ready ready", &[1000], 2, 100, 2, 100),
        ("ready ready", &[1900], 2, 100, 2, 190),
        ("ready ready", &[600], 2, 100, 2, 60),
        ("unready ready ready", &[100, 450], 3, 50, 3, 45),
        ("hot ready ready", &[100, 450], 3, 50, 3, 45),
        ("unready ready ready", &[100, 2000], 3, 50, 4, 200),
        ("hot-unready ready ready", &[100, 2000], 3, 50, 4, 200),
        ("unready ready ready ready", &[100, 100, 100], 4, 50, 3, 10),
    ];
    for (words, levels, current, target, replicas, percent) in cases {
        let computed = calculate(&pods(words), |calculator| {
            calculator.by_utilization(*current, *target, "cpu", None, metrics(levels))
        });
        let computed = computed.map(|c| (c.replicas, c.utilization));
        assert_eq!(
            computed,
            Ok((*replicas, Some(*percent))),
            "{words} {levels:?}"
        );
    }
}

#[test]
fn use_is_shown_per_pod() {
    let three = pods("ready ready ready");
    let computed = calculate(&three, |calculator| {
        calculator.by_utilization(3, 30, "cpu", None, metrics(&[300, 500, 700]))
    });
    assert_eq!(computed.unwrap().usage, 500);
}

#[test]
fn averages_as_in_kubernetes() {
    #[rustfmt::skip]
    let cases: &[Case<i64>] = &[
        ("ready ready ready", &[20000, 10000, 30000], 3, 15000, 4, 20000),
        // Readiness only says something of CPU.
        ("ready ready hot-unready", &[50000, 10000, 30000], 3, 15000, 6, 30000),
        ("hot-unready ready hot-unready", &[50000, 15000, 30000], 3, 15000, 7, 31666),
        ("ready", &[8600], 1, 4400, 2, 8600),
        ("ready ready ready ready ready", &[12000, 12000, 12000, 12000, 12000], 5, 20000, 3, 12000),
        ("ready ready ready", &[20000, 21000, 21000], 3, 20000, 3, 20666),
    ];
    for (words, levels, current, target, replicas, usage) in cases {
        let computed = calculate(&pods(words), |calculator| {
            calculator.by_average(*current, *target, "", metrics(levels))
        });
        let computed = computed.map(|c| (c.replicas, c.usage));
        assert_eq!(computed, Ok((*replicas, *usage)), "{words} {levels:?}");
    }
}

#[test]
fn values_of_all_pods_as_in_kubernetes() {
    #[rustfmt::skip]
    let cases = [
        ("ready ready ready", 3, 15000, 20000, 4),
        ("unready ready unready", 3, 10000, 50000, 5),
        ("unready ready unready", 3, 4400, 8600, 2),
        ("ready ready ready ready ready", 5, 20000, 12000, 3),
        ("ready ready ready ready ready", 5, 14334, 8600, 3),
        ("ready ready ready", 3, 20000, 20666, 3),
        ("ready ready ready", 3, 8888, 8600, 3),
        // From nothing, and to nothing.
        ("", 0, 10000, 25000, 3),
        ("ready ready", 2, 10000, 0, 0),
    ];
    for (words, current, target, usage, replicas) in cases {
        let computed = calculate(&pods(words), |c| c.by_value(current, target, usage));
        assert_eq!(
            computed.map(|c| c.replicas),
            Ok(replicas),
            "{words} {target} {usage}"
        );
    }
    #[rustfmt::skip]
    let per_pod = [
        (3, 5000, 20000, 4, 6667),
        (3, 2150, 8600, 4, 2867),
        (5, 2000, 6000, 3, 1200),
        (5, 2867, 8600, 3, 1720),
        (4, 5000, 20166, 4, 5042),
        (3, 2900, 8600, 3, 2867),
        // Nothing to share among.
        (0, 5000, 20000, 4, 20000),
    ];
    for (current, target, usage, replicas, each) in per_pod {
        let computed = calculate(&[], |c| c.by_value_per_pod(current, target, usage));
        assert_eq!(
            (computed.replicas, computed.usage),
            (replicas, each),
            "{target} {usage}"
        );
    }
}

#[test]
fn missing_pods_use_the_target_where_that_is_more_than_all() {
    // 2 of 4 are known, and use 250% of what they request; the target is 300%: missing ones
    // use that, together 275%, within 10% of it.
    let four = pods("ready ready ready ready");
    let computed = calculate(&four, |calculator| {
        calculator.by_utilization(4, 300, "cpu", None, metrics(&[2500, 2500]))
    });
    assert_eq!(computed.unwrap().replicas, 4);
}

#[test]
fn containers_count_by_name_and_sidecars_with_the_others() {
    let pod = |init: serde_json::Value| {
        let requests = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let mut pod = json!({
            "metadata": {"name": "p0"},
            "spec": {"containers": [{"name": "web", "resources": requests("200m")},
                {"name": "log", "resources": {}}]},
            "status": {"phase": "Running", "startTime": at(NOW - 600), "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": at(NOW - 600)}]}});
        pod["spec"]["initContainers"] = init;
        vec![Arc::new(serde_json::from_value::<Pod>(pod).unwrap())]
    };
    let requested = |init, container| {
        let pods = pod(init);
        requests(&pods, container, "cpu").map(|requests| requests["p0"])
    };
    assert_eq!(requested(json!([]), Some("web")), Ok(200));
    let words = "missing request for cpu in container log of Pod p0";
    assert_eq!(requested(json!([]), None).unwrap_err(), words);
    let sidecar = json!([{"name": "proxy", "restartPolicy": "Always",
        "resources": {"requests": {"cpu": "50m"}}}, {"name": "setup"}]);
    assert_eq!(requested(sidecar, Some("proxy")), Ok(50));
}

#[test]
fn what_is_not_known_is_an_error() {
    let failing = |words: &str, levels: &[i64]| {
        let computed = calculate(&pods(words), |calculator| {
            calculator.by_utilization(1, 100, "cpu", None, metrics(levels))
        });
        computed.unwrap_err()
    };
    assert_eq!(failing("", &[1]), NO_PODS);
    let words = "did not receive metrics for targeted pods (pods might be unready)";
    assert_eq!(failing("unready", &[1]), words);
    // Metrics of an older pod only.
    let computed = calculate(&pods("ready"), |calculator| {
        let mut metrics = metrics(&[100]);
        let metric = metrics.remove("p0").unwrap();
        metrics.insert("older".into(), metric);
        calculator.by_utilization(1, 100, "cpu", None, metrics)
    });
    let words = "no metrics returned matched known pods";
    assert_eq!(computed.unwrap_err(), words);
}

#[test]
fn the_edges_of_tolerance_belong_to_it() {
    for (usage, replicas) in [(90, 10), (110, 10), (89, 9), (111, 12)] {
        let ten = pods(&"ready ".repeat(10));
        let computed = calculate(&ten, |c| c.by_average(10, 100, "", metrics(&[usage; 10])));
        assert_eq!(computed.unwrap().replicas, replicas, "{usage}");
    }
}
