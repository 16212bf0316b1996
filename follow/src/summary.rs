//! Where the time went, in a line for each pod that came up and each Service.

use crate::line::{Object, Step, seconds};
use crate::story::Entry;
use crate::words::time;

/// What is remembered of what happened, for the summary.
#[derive(Default)]
pub struct Times {
    begun: Option<f64>,
    admission: f64,
    etcd: f64,
    pods: Vec<Pod>,
    services: Vec<(Object, Vec<(String, f64)>)>,
}

struct Pod {
    object: Object,
    stored: Option<f64>,
    scheduled: Option<f64>,
    ready: Option<f64>,
    /// Of the kubelet's work, by its name.
    parts: Vec<(String, f64)>,
}

/// The kubelet's work, in its order.
const PARTS: [(&str, &str); 6] = [
    ("volumes", "volumes"),
    ("sandbox", "sandbox"),
    ("pulled", "pull"),
    ("image", "image"),
    ("created", "create"),
    ("started", "start"),
];

impl Times {
    /// Takes what belongs to the story.
    pub fn take(&mut self, entry: &Entry) {
        let head = entry.moment.head();
        let at = seconds(head.time);
        self.begun = Some(self.begun.map_or(at, |begun| begun.min(at)));
        match head.object.resource.as_str() {
            "pods" => self.take_pod(entry),
            "services" if head.what == "nftables" => self.take_rules(head),
            _ => {}
        }
        // Up to the pod itself, one thing is done after the other.
        let is_on_the_way = entry.moment.is_request() && head.detail("subresource") != "status";
        if is_on_the_way && self.pods.iter().all(|pod| pod.scheduled.is_none()) {
            self.admission += entry.moment.spent("admission");
            self.etcd += entry.moment.spent("stored");
        }
    }

    fn take_pod(&mut self, entry: &Entry) {
        let head = entry.moment.head();
        let found = self.pods.iter().position(|pod| pod.object == head.object);
        let at = found.unwrap_or_else(|| {
            self.pods.push(Pod {
                object: head.object.clone(),
                stored: None,
                scheduled: None,
                ready: None,
                parts: Vec::new(),
            });
            self.pods.len() - 1
        });
        let pod = &mut self.pods[at];
        match head.what.as_str() {
            "request"
                if head.detail("verb") == "create" && head.detail("subresource").is_empty() =>
            {
                pod.stored = entry.moment.stored().map(Step::end);
            }
            "scheduled" => pod.scheduled = Some(head.end()),
            "status" if head.detail("ready") == "true" => {
                pod.ready.get_or_insert(head.end());
            }
            what if pod.ready.is_none() && head.process == "kubelet" => {
                if let Some((_, name)) = PARTS.iter().find(|(part, _)| *part == what) {
                    match pod.parts.iter_mut().find(|(known, _)| known == name) {
                        Some((_, spent)) => *spent += head.seconds,
                        None => pod.parts.push(((*name).to_owned(), head.seconds)),
                    }
                }
            }
            _ => {}
        }
    }

    fn take_rules(&mut self, head: &Step) {
        let rules = (head.host.clone(), head.end());
        match self
            .services
            .iter_mut()
            .find(|(object, _)| *object == head.object)
        {
            Some((_, all)) => all.push(rules),
            None => self.services.push((head.object.clone(), vec![rules])),
        }
    }

    /// A line for each pod that became ready, in their order, and each Service.
    pub fn lines(&self) -> Vec<String> {
        let Some(begun) = self.begun else {
            return Vec::new();
        };
        let mut ready: Vec<(&Pod, f64)> = self
            .pods
            .iter()
            .filter_map(|pod| Some((pod, pod.ready?)))
            .collect();
        ready.sort_by(|a, b| a.1.total_cmp(&b.1));
        let pods = ready.iter().map(|(pod, at)| self.pod(pod, begun, *at));
        let services = self.services.iter().filter_map(|(object, all)| {
            let last = ready.last()?.1;
            let after = |at: f64| time((at - last).max(0.0));
            let (_, at) = all.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
            let mut hosts: Vec<&str> = all.iter().map(|(host, _)| host.as_str()).collect();
            hosts.sort_unstable();
            hosts.dedup();
            let (short, count) = (object.short(), hosts.len());
            Some(format!(
                "{short}: in the kernel of {count} nodes {} after the last pod was ready",
                after(*at)
            ))
        });
        pods.chain(services).collect()
    }

    fn pod(&self, pod: &Pod, begun: f64, ready: f64) -> String {
        let mut parts = Vec::new();
        if self.etcd > 0.0 {
            parts.push(format!("admission {}", time(self.admission)));
            parts.push(format!("etcd {}", time(self.etcd)));
        }
        if let Some(stored) = pod.stored {
            parts.insert(
                0,
                format!("until it was created {}", time((stored - begun).max(0.0))),
            );
            if let Some(scheduled) = pod.scheduled {
                parts.push(format!("scheduler {}", time((scheduled - stored).max(0.0))));
            }
        }
        if let Some(scheduled) = pod.scheduled {
            let spent = pod.parts.iter();
            let spent: Vec<String> = spent
                .map(|(name, took)| format!("{name} {}", time(*took)))
                .collect();
            let spent = match spent.is_empty() {
                true => String::new(),
                false => format!(" ({})", spent.join(", ")),
            };
            parts.push(format!(
                "kubelet {}{spent}",
                time((ready - scheduled).max(0.0))
            ));
        }
        let short = pod.object.short();
        let all = time((ready - begun).max(0.0));
        match parts.is_empty() {
            true => format!("{short}: ready after {all}"),
            false => format!("{short}: ready after {all}: {}", parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::{Assembler, Moment};
    use jiff::Timestamp;

    fn step(at: i64, took: f64, process: &str, what: &str, details: &[(&str, &str)]) -> Step {
        let details = details
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Step {
            time: Timestamp::from_millisecond(at).unwrap(),
            process: process.into(),
            host: "w1".into(),
            object: Object {
                resource: "pods".into(),
                namespace: "shop".into(),
                name: "web".into(),
            },
            what: what.into(),
            seconds: took,
            details: details.collect(),
            ..Step::default()
        }
    }

    fn entry(moment: Moment) -> Entry {
        Entry {
            depth: 0,
            is_cause: false,
            moment,
        }
    }

    #[test]
    fn time_is_told_by_who_took_it() {
        let mut times = Times::default();
        let mut assembler = Assembler::default();
        assembler.push(step(
            1000,
            0.01,
            "apiserver",
            "request",
            &[("verb", "create")],
        ));
        assembler.push(step(1001, 0.002, "apiserver", "admission", &[]));
        assembler.push(step(1003, 0.005, "apiserver", "stored", &[]));
        times.take(&entry(assembler.flush().unwrap()));
        for step in [
            step(1020, 0.004, "scheduler", "scheduled", &[]),
            step(1100, 0.3, "kubelet", "sandbox", &[]),
            step(1500, 0.1, "kubelet", "started", &[]),
            step(1600, 0.1, "kubelet", "started", &[]),
            step(1900, 0.0, "kubelet", "status", &[("ready", "false")]),
            step(2024, 0.0, "kubelet", "status", &[("ready", "true")]),
        ] {
            times.take(&entry(Moment::of(step)));
        }
        let mut rules = step(2030, 0.004, "proxy", "nftables", &[]);
        rules.object.resource = "services".into();
        times.take(&entry(Moment::of(rules)));
        assert_eq!(
            times.lines(),
            [
                "pod/web: ready after 1.02 s: until it was created 8.0 ms, admission 2.0 ms, etcd 5.0 ms, \
             scheduler 16 ms, kubelet 1.00 s (sandbox 300 ms, start 200 ms)",
                "service/web: in the kernel of 1 nodes 10 ms after the last pod was ready",
            ]
        );
        assert!(Times::default().lines().is_empty());
    }
}
