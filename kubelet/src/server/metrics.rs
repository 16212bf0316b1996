//! `/metrics/resource`, which metrics servers read. Names, labels and help are those of
//! Kubernetes 1.33 (`pkg/kubelet/metrics/collectors/resource_metrics.go`).

use super::{Body, Refusal, text};
use crate::context::Context;
use crate::usage::exposition::{Exposition, Kind};
use crate::usage::inventory::{Entry, PodEntry};
use crate::usage::{Figures, Meter, NodeFigures};
use hardway_client::metrics::CONTENT_TYPE;
use http::{Response, StatusCode};

pub(super) const NANOS: f64 = 1e9;

pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS
}

pub(super) fn answer(content: String) -> Response<Body> {
    text(StatusCode::OK, CONTENT_TYPE, content)
}

/// Answers with CPU and memory of node, pods and containers.
pub async fn resource(context: &Context, meter: &Meter) -> Result<Response<Body>, Refusal> {
    let figures = match meter.inventory(&*context.runtime).await {
        Ok(pods) => {
            let meter = meter.clone();
            let read = tokio::task::spawn_blocking(move || meter.figures(pods)).await;
            Some(read.map_err(Refusal::internal)?)
        }
        Err(error) => {
            tracing::warn!(%error, "what runs is not known, so what it uses isn't");
            None
        }
    };
    Ok(answer(resource_text(figures.as_ref())))
}

/// One figure of `/metrics/resource`.
struct Resource {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    of: fn(&Figures) -> Option<f64>,
}

fn cpu(figures: &Figures) -> Option<f64> {
    figures.cpu.map(seconds)
}

fn working_set(figures: &Figures) -> Option<f64> {
    figures.memory.map(|memory| memory.working_set as f64)
}

fn swap(figures: &Figures) -> Option<f64> {
    Some(figures.memory?.swap? as f64)
}

const fn resource_of(
    name: &'static str,
    help: &'static str,
    kind: Kind,
    of: fn(&Figures) -> Option<f64>,
) -> Resource {
    Resource {
        name,
        help,
        kind,
        of,
    }
}

const OF_CONTAINERS: [Resource; 3] = [
    resource_of(
        "container_cpu_usage_seconds_total",
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
        Kind::Counter,
        cpu,
    ),
    resource_of(
        "container_memory_working_set_bytes",
        "[STABLE] Current working set of the container in bytes",
        Kind::Gauge,
        working_set,
    ),
    resource_of(
        "container_swap_usage_bytes",
        "[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems",
        Kind::Gauge,
        swap,
    ),
];

const OF_NODE: [Resource; 3] = [
    resource_of(
        "node_cpu_usage_seconds_total",
        "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
        Kind::Counter,
        cpu,
    ),
    resource_of(
        "node_memory_working_set_bytes",
        "[STABLE] Current working set of the node in bytes",
        Kind::Gauge,
        working_set,
    ),
    resource_of(
        "node_swap_usage_bytes",
        "[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems",
        Kind::Gauge,
        swap,
    ),
];

const OF_PODS: [Resource; 3] = [
    resource_of(
        "pod_cpu_usage_seconds_total",
        "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
        Kind::Counter,
        cpu,
    ),
    resource_of(
        "pod_memory_working_set_bytes",
        "[STABLE] Current working set of the pod in bytes",
        Kind::Gauge,
        working_set,
    ),
    resource_of(
        "pod_swap_usage_bytes",
        "[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems",
        Kind::Gauge,
        swap,
    ),
];

fn resource_text(figures: Option<&NodeFigures>) -> String {
    let mut text = Exposition::default();
    if let Some(figures) = figures {
        let containers = || {
            figures.pods.iter().flat_map(|of| {
                let entries = of.pod.containers.iter().zip(&of.containers);
                entries.map(|(entry, figures)| (&of.pod, entry, figures))
            })
        };
        let labels = |pod, entry| -> [(&str, &str); 3] { container_labels(pod, entry) };
        for family in &OF_CONTAINERS {
            text.family(family.name, family.help, family.kind);
            for (pod, entry, figures) in containers() {
                sample(&mut text, family, &labels(pod, entry), figures);
            }
        }
        let name = "container_start_time_seconds";
        let help = "[STABLE] Start time of the container since unix epoch in seconds";
        text.family(name, help, Kind::Gauge);
        for (pod, entry, _) in containers().filter(|(_, entry, _)| entry.created > 0) {
            let at = entry.created as f64 / NANOS;
            text.sample(name, &labels(pod, entry), at, None);
        }
        for family in &OF_NODE {
            text.family(family.name, family.help, family.kind);
            sample(&mut text, family, &[], &figures.node);
        }
        for family in &OF_PODS {
            text.family(family.name, family.help, family.kind);
            for of in &figures.pods {
                let labels = [("namespace", &*of.pod.namespace), ("pod", &*of.pod.name)];
                sample(&mut text, family, &labels, &of.all);
            }
        }
    }
    let name = "resource_scrape_error";
    let help = "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise";
    text.family(name, help, Kind::Gauge);
    text.sample(name, &[], f64::from(u8::from(figures.is_none())), None);
    text.finish()
}

fn container_labels<'a>(pod: &'a PodEntry, entry: &'a Entry) -> [(&'static str, &'a str); 3] {
    [
        ("container", &entry.name),
        ("namespace", &pod.namespace),
        ("pod", &pod.name),
    ]
}

fn sample(text: &mut Exposition, family: &Resource, labels: &[(&str, &str)], of: &Figures) {
    if let Some(value) = (family.of)(of) {
        text.sample(family.name, labels, value, Some(of.at / 1_000_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::PodFigures;
    use crate::usage::cgroup::Memory;

    #[test]
    fn resources_are_told_as_kubernetes_does() {
        let figures = |cpu, working_set| Figures {
            at: 1_700_000_000_123_456_789,
            cpu: Some(cpu),
            memory: Some(Memory {
                working_set,
                ..Memory::default()
            }),
            ..Figures::default()
        };
        let web = Entry {
            name: "web".into(),
            created: 1_699_999_999_500_000_000,
            ..Entry::default()
        };
        let all = NodeFigures {
            node: figures(5_000_000_000, 900),
            pods: vec![PodFigures {
                pod: PodEntry {
                    namespace: "shop".into(),
                    name: "a".into(),
                    containers: vec![web],
                    ..PodEntry::default()
                },
                all: figures(2_000_000_000, 80),
                containers: vec![figures(1_500_000_000, 70)],
            }],
        };
        let text = resource_text(Some(&all));
        for line in [
            "# TYPE container_cpu_usage_seconds_total counter",
            "container_cpu_usage_seconds_total{container=\"web\",namespace=\"shop\",pod=\"a\"} 1.5 1700000000123",
            "container_memory_working_set_bytes{container=\"web\",namespace=\"shop\",pod=\"a\"} 70 1700000000123",
            "container_start_time_seconds{container=\"web\",namespace=\"shop\",pod=\"a\"} 1699999999.5",
            "node_cpu_usage_seconds_total 5 1700000000123",
            "node_memory_working_set_bytes 900 1700000000123",
            "pod_memory_working_set_bytes{namespace=\"shop\",pod=\"a\"} 80 1700000000123",
            "resource_scrape_error 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(
            !text.contains("swap_usage_bytes{"),
            "the kernel counts none"
        );
        assert!(resource_text(None).ends_with("resource_scrape_error 1\n"));
    }
}
