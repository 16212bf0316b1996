//! What container runtimes took, as the kubelets' metrics tell it: they are the runtime's only
//! clients, and any Kubernetes' kubelet tells it in the same words (since 1.14,
//! `pkg/kubelet/metrics/metrics.go`).

use std::collections::BTreeMap;

use crate::api::{Api, Call};

/// The histogram, of which only sums and counts are read.
const METRIC: &str = "kubelet_runtime_operations_duration_seconds";
/// What starts a pod of one container, by the label `operation_type`.
const OPERATIONS: [(&str, &str); 3] = [
    ("run_podsandbox", "sandbox"),
    ("create_container", "create the container"),
    ("start_container", "start the container"),
];

/// Seconds and number of operations, by the operation's label.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Operations(BTreeMap<String, (f64, f64)>);

impl Operations {
    /// Reads those of all nodes, through the API server. The error says why not.
    pub(super) async fn read(api: &Api, nodes: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        for node in nodes {
            let call = Call::get(format!("/api/v1/nodes/{node}/proxy/metrics")).accept("*/*");
            let answer = api.send(&call).await.map_err(|error| error.to_string())?;
            all.add(&String::from_utf8_lossy(&answer.body));
        }
        Ok(all)
    }

    /// Adds a kubelet's metrics, in Prometheus' text format.
    fn add(&mut self, metrics: &str) {
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix(METRIC) else {
                continue;
            };
            let Some((series, value)) = rest.rsplit_once(' ') else {
                continue;
            };
            let Some((part, labels)) = series.split_once('{') else {
                continue;
            };
            let label = labels.split_once("operation_type=\"");
            let label = label.and_then(|(_, rest)| rest.split_once('"'));
            let (Some((operation, _)), Ok(value)) = (label, value.parse::<f64>()) else {
                continue;
            };
            let sums = self.0.entry(operation.to_owned()).or_default();
            match part {
                "_sum" => sums.0 += value,
                "_count" => sums.1 += value,
                _ => {}
            }
        }
    }

    /// What came since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let since = self.0.iter().map(|(name, now)| {
            let then = before.0.get(name).copied().unwrap_or_default();
            (name.clone(), (now.0 - then.0, now.1 - then.1))
        });
        Self(since.collect())
    }

    /// What each operation of a pod's start took on average, in milliseconds; nothing unless
    /// all of them are known.
    pub(super) fn means(&self) -> Option<Vec<(&'static str, f64)>> {
        let means = OPERATIONS.iter().map(|(label, name)| {
            let (seconds, count) = self.0.get(*label)?;
            (*count > 0.0).then(|| (*name, seconds / count * 1e3))
        });
        means.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(sandboxes: u32) -> String {
        let mut text = format!(
            "# TYPE {METRIC} histogram\n\
             {METRIC}_bucket{{operation_type=\"run_podsandbox\",le=\"0.005\"}} 4\n\
             {METRIC}_sum{{operation_type=\"run_podsandbox\"}} {}\n\
             {METRIC}_count{{operation_type=\"run_podsandbox\"}} {sandboxes}\n\
             kubelet_evictions{{operation_type=\"run_podsandbox\"}} 9\n",
            f64::from(sandboxes) * 0.25
        );
        for operation in ["create_container", "start_container", "version"] {
            text += &format!("{METRIC}_sum{{operation_type=\"{operation}\"}} 1e-1\n");
            text += &format!("{METRIC}_count{{operation_type=\"{operation}\"}} 2\n");
        }
        text
    }

    #[test]
    fn the_means_are_those_of_the_time_between() {
        let mut before = Operations::default();
        before.add(&metrics(4));
        let mut after = Operations::default();
        after.add(&metrics(6));
        let since = after.since(&before);
        assert_eq!(since.0["run_podsandbox"], (0.5, 2.0));
        // No container was created.
        assert_eq!(since.means(), None);
        let all = after.since(&Operations::default());
        let expected = [
            ("sandbox", 250.0),
            ("create the container", 50.0),
            ("start the container", 50.0),
        ];
        assert_eq!(all.means().unwrap(), expected);
    }

    #[test]
    fn nodes_are_summed_up_and_other_text_is_nothing() {
        let mut all = Operations::default();
        all.add(&metrics(2));
        all.add(&metrics(2));
        assert_eq!(all.0["run_podsandbox"], (1.0, 4.0));
        let mut none = Operations::default();
        none.add("<html>\nkubelet_runtime_operations_duration_seconds_sum 1\n");
        assert_eq!((none.means(), none), (None, Operations::default()));
    }
}
