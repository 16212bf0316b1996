//! What a kubelet says of its node, pods and containers: `/metrics/resource`, in Prometheus'
//! text format.

use hardway_proto::meta::ObjectKey;
use std::collections::HashMap;

/// What was used up to a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// When, in milliseconds since the epoch; zero if it isn't known.
    pub at: i64,
    /// When the container began, likewise.
    pub began: i64,
    /// Nanoseconds of CPU since then.
    pub cpu: u64,
    /// Bytes of memory in use.
    pub memory: u64,
}

/// One answer of a kubelet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    /// The node.
    pub node: Point,
    /// The containers of each pod, by name.
    pub pods: HashMap<ObjectKey, Vec<(Box<str>, Point)>>,
}

/// Reads an answer. What isn't known here is passed over; a container of which CPU or memory
/// is missing is left out.
pub fn parse(text: &str) -> Scrape {
    let mut scrape = Scrape::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(series) = Series::parse(line) else {
            continue;
        };
        let (point, name) = match series.name.split_once('_') {
            Some(("node", name)) => (&mut scrape.node, name),
            Some(("container", name)) => match scrape.container(&series) {
                Some(point) => (point, name),
                None => continue,
            },
            _ => continue,
        };
        match name {
            "cpu_usage_seconds_total" => point.cpu = (series.value * 1e9) as u64,
            "memory_working_set_bytes" => point.memory = series.value as u64,
            "start_time_seconds" => {
                point.began = (series.value * 1e3) as i64;
                continue;
            }
            _ => continue,
        }
        point.at = series.at;
    }
    for containers in scrape.pods.values_mut() {
        containers.retain(|(_, point)| point.at > 0 && point.memory > 0);
        containers.shrink_to_fit();
    }
    scrape.pods.retain(|_, containers| !containers.is_empty());
    scrape
}

impl Scrape {
    fn container(&mut self, series: &Series<'_>) -> Option<&mut Point> {
        let (namespace, pod) = (series.label("namespace")?, series.label("pod")?);
        let container = series.label("container")?;
        let containers = self.pods.entry(ObjectKey::new(namespace, pod)).or_default();
        let at = match containers.iter().position(|(name, _)| **name == *container) {
            Some(at) => at,
            None => {
                containers.push((container.into(), Point::default()));
                containers.len() - 1
            }
        };
        Some(&mut containers[at].1)
    }
}

/// A line: `name{label="text",…} value milliseconds`.
struct Series<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
    at: i64,
}

impl<'a> Series<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        // No name of a pod, container or namespace has a brace in it.
        let (name, labels, rest) = match line.split_once('{') {
            Some((name, rest)) => {
                let (labels, rest) = rest.split_once('}')?;
                (name, labels, rest)
            }
            None => {
                let (name, rest) = line.split_once(' ')?;
                (name, "", rest)
            }
        };
        let mut words = rest.split_whitespace();
        let value: f64 = words.next()?.parse().ok()?;
        let at = words.next().and_then(|word| word.parse().ok());
        (value.is_finite() && value >= 0.0).then_some(Self {
            name,
            labels,
            value,
            at: at.unwrap_or(0),
        })
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.split(',').find_map(|label| {
            let (label, text) = label.split_once('=')?;
            (label == name).then(|| text.trim_matches('"'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelets_answer_is_read() {
        let text = "# HELP container_cpu_usage_seconds_total [STABLE] x\n\
            # TYPE container_cpu_usage_seconds_total counter\n\
            container_cpu_usage_seconds_total{container=\"web\",namespace=\"shop\",pod=\"a\"} 1.5 1700000000123\n\
            container_cpu_usage_seconds_total{container=\"new\",namespace=\"shop\",pod=\"b\"} 0.1 1700000000123\n\
            container_memory_working_set_bytes{container=\"web\",namespace=\"shop\",pod=\"a\"} 7.0e+06 1700000000124\n\
            container_start_time_seconds{container=\"web\",namespace=\"shop\",pod=\"a\"} 1.6999999995e+09\n\
            node_cpu_usage_seconds_total 20 1700000000125\n\
            node_memory_working_set_bytes 3e+09 1700000000125\n\
            pod_cpu_usage_seconds_total{namespace=\"shop\",pod=\"a\"} 9 1700000000125\n\
            resource_scrape_error 0\nbroken{ 1\nnan_x NaN\n";
        let scrape = parse(text);
        assert_eq!(scrape.node.cpu, 20_000_000_000);
        assert_eq!(scrape.node.at, 1_700_000_000_125);
        assert_eq!(scrape.pods.len(), 1, "b has no memory yet");
        let a = &scrape.pods[&ObjectKey::new("shop", "a")];
        let web = Point {
            at: 1_700_000_000_124,
            began: 1_699_999_999_500,
            cpu: 1_500_000_000,
            memory: 7_000_000,
        };
        assert_eq!(*a, [("web".into(), web)]);
    }
}
