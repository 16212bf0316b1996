//! The processes that hand in their steps. Each speaks for itself alone: which process it is
//! and where it runs is taken from its identity, never from what it says.

use super::{Steps, Told};
use futures_util::stream::{self, Stream};
use hardway_access::{Objects, User};
use hardway_client::steps::{LONGEST_TEXT, MOST_AT_ONCE, MOST_DETAILS};
use hardway_proto::Status;
use hardway_proto::api;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// So many processes are remembered; the one that was heard of longest ago is forgotten.
const MOST_KNOWN: usize = 4096;
/// So many of one process and host: more were restarted.
const MOST_OF_ONE: usize = 8;

/// Components that have one identity wherever they run.
const EVERYWHERE: [(&str, &str); 3] = [
    ("system:kube-scheduler", "scheduler"),
    ("system:kube-controller-manager", "controller-manager"),
    ("system:kube-proxy", "proxy"),
];
/// Add-ons, by their service accounts in `kube-system`.
const ADD_ONS: [(&str, &str); 3] = [
    ("hardway-dns", "dns"),
    ("hardway-metrics", "metrics"),
    ("hardway-provisioner", "provisioner"),
];
/// What a token of a pod says of the node (`k8s.io/apiserver`,
/// `pkg/authentication/serviceaccount`).
const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// A process that reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    process: &'static str,
    host: Arc<str>,
    instance: String,
}

impl Steps {
    /// Who has this identity, calls from this address and has given itself a name. Where it
    /// runs is said by its identity, or else by the host or the Node that has the address.
    ///
    /// # Errors
    /// 403 for who is none of hardway's components, 400 for an odd name.
    pub fn reporter(
        &self,
        user: &User,
        address: IpAddr,
        instance: &str,
        objects: &dyn Objects,
    ) -> Result<Reporter, Status> {
        if instance.is_empty() || instance.len() > 64 {
            return Err(Status::bad_request(
                "the instance must have a name of at most 64 bytes",
            ));
        }
        let (process, host) = process_of(user).ok_or_else(|| {
            let who = &user.name;
            let why = format!("User {who:?} is no component that has steps to report");
            Status::forbidden("", "", "", &why)
        })?;
        let here = || self.own_host(address);
        let there = || node_at(address, objects).map(Into::into);
        let host = host.or_else(here).or_else(there);
        Ok(Reporter {
            process,
            host: host.unwrap_or_else(|| address.to_string().into()),
            instance: instance.to_owned(),
        })
    }
}

/// Which process has an identity, and where it runs if the identity says so.
fn process_of(user: &User) -> Option<(&'static str, Option<Arc<str>>)> {
    if let Some(node) = user.as_node() {
        return Some(("kubelet", Some(node.into())));
    }
    if let Some(node) = user.as_overlay_node() {
        return Some(("flannel-lite", Some(node.into())));
    }
    if let Some(("kube-system", account)) = user.as_service_account() {
        let (_, process) = ADD_ONS.iter().find(|(name, _)| *name == account)?;
        let node = user
            .extra
            .get(NODE_OF_TOKEN)
            .and_then(|nodes| nodes.first());
        return Some((process, node.map(|node| node.as_str().into())));
    }
    let found = EVERYWHERE.iter().find(|(name, _)| *name == user.name);
    found.map(|(_, process)| (*process, None))
}

/// The node with an address.
fn node_at(address: IpAddr, objects: &dyn Objects) -> Option<String> {
    let address = address.to_string();
    let nodes = objects.read_all("", "nodes", None);
    let has = |node: &serde_json::Value| {
        let addresses = node["status"]["addresses"].as_array();
        addresses.is_some_and(|all| all.iter().any(|one| one["address"] == *address))
    };
    let node = nodes.iter().find(|node| has(node))?;
    Some(node["metadata"]["name"].as_str()?.to_owned())
}

/// What is known of a process.
struct Known {
    reporter: Reporter,
    /// The number of its first step that isn't here.
    next: u64,
    /// How many streams it has open.
    streams: usize,
    /// Whether it has handed in what it had when somebody began to read.
    is_complete: bool,
}

/// The processes that are there, or were.
#[derive(Default)]
pub(super) struct Reporters(VecDeque<Known>);

impl Reporters {
    /// From each process is expected now what happened up to now.
    pub(super) fn expect_all(&mut self) {
        for known in &mut self.0 {
            known.is_complete = false;
        }
    }

    /// Whether all that are there have handed that in.
    pub(super) fn are_complete(&self) -> bool {
        self.0
            .iter()
            .all(|known| known.streams == 0 || known.is_complete)
    }

    fn find(&mut self, reporter: &Reporter) -> Option<&mut Known> {
        self.0.iter_mut().find(|known| known.reporter == *reporter)
    }

    /// A stream of the process begins.
    fn enter(&mut self, reporter: &Reporter) {
        if let Some(known) = self.find(reporter) {
            known.streams += 1;
            return;
        }
        let is_alike = |known: &Known| {
            let Reporter { process, host, .. } = &known.reporter;
            (process, host) == (&reporter.process, &reporter.host)
        };
        if self.0.iter().filter(|known| is_alike(known)).count() >= MOST_OF_ONE
            && let Some(oldest) = self.0.iter().position(is_alike)
        {
            self.0.remove(oldest);
        }
        if self.0.len() >= MOST_KNOWN {
            self.0.pop_front();
        }
        self.0.push_back(Known {
            reporter: reporter.clone(),
            next: 0,
            streams: 1,
            is_complete: false,
        });
    }

    fn leave(&mut self, reporter: &Reporter) {
        if let Some(known) = self.find(reporter) {
            known.streams = known.streams.saturating_sub(1);
        }
    }

    fn next_of(&mut self, reporter: &Reporter) -> u64 {
        self.find(reporter).map_or(0, |known| known.next)
    }

    /// A report came. How many of its first steps are here already.
    ///
    /// # Errors
    /// 409, if the process has no stream here: its call went to another apiserver.
    fn reported(&mut self, reporter: &Reporter, first: u64, count: usize) -> Result<usize, Status> {
        let known = self.find(reporter).filter(|known| known.streams > 0);
        let known = known.ok_or_else(|| {
            Status::conflict(
                "",
                "",
                "",
                "the process follows no readers of this apiserver",
            )
        })?;
        let here = usize::try_from(known.next.saturating_sub(first)).unwrap_or(usize::MAX);
        known.next = known.next.max(first.saturating_add(count as u64));
        known.is_complete |= count < MOST_AT_ONCE;
        Ok(here.min(count))
    }
}

/// A stream on which a process hears of readers.
struct Entered {
    steps: Arc<Steps>,
    reporter: Reporter,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.steps.reporters.lock().leave(&self.reporter);
        self.steps.wake();
    }
}

impl Steps {
    /// Tells a process whether somebody reads: at once, and whenever that changes.
    pub fn readers(
        self: &Arc<Self>,
        reporter: Reporter,
    ) -> impl Stream<Item = api::StepReaders> + Send + use<> {
        self.reporters.lock().enter(&reporter);
        let entered = Entered {
            steps: self.clone(),
            reporter,
        };
        let readers = self.readers.subscribe();
        stream::unfold(
            (entered, readers, None),
            |(entered, mut readers, told)| async move {
                let steps = &entered.steps;
                // The sender is held by what is asked here.
                let changed =
                    readers.wait_for(|count| steps.is_stopped() || told != Some(*count > 0));
                let reading = *changed.await.ok()? > 0;
                if steps.is_stopped() {
                    return None;
                }
                let next = steps.reporters.lock().next_of(&entered.reporter);
                let message = api::StepReaders { reading, next };
                Some((message, (entered, readers, Some(reading))))
            },
        )
    }

    /// Takes in a report. What a node says of pods of other nodes is left out.
    ///
    /// # Errors
    /// If a step is larger than they are, or the process isn't known.
    pub fn reported(
        &self,
        reporter: &Reporter,
        report: api::ReportStepsRequest,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let steps = report.steps;
        if steps.len() > MOST_AT_ONCE || !steps.iter().all(is_bounded) {
            return Err(Status::bad_request(format!(
                "a report has at most {MOST_AT_ONCE} steps, of at most {MOST_DETAILS} details and {LONGEST_TEXT} bytes of text each"
            )));
        }
        let mut reporters = self.reporters.lock();
        let here = reporters.reported(reporter, report.first, steps.len())?;
        drop(reporters);
        let of_its_node = |step: &api::Step| {
            reporter.process != "kubelet"
                || step.resource != "pods"
                || objects
                    .read("", "pods", &step.namespace, &step.name)
                    .is_none_or(|pod| pod["spec"]["nodeName"] == *reporter.host)
        };
        let news = steps.into_iter().skip(here).filter(of_its_node);
        self.add(news.map(|step| Told {
            process: reporter.process,
            host: reporter.host.clone(),
            step,
        }));
        Ok(())
    }
}

fn is_bounded(step: &api::Step) -> bool {
    let texts = [
        &step.resource,
        &step.namespace,
        &step.name,
        &step.uid,
        &step.audit_id,
        &step.what,
    ];
    let details = step.details.iter().flat_map(|d| [&d.name, &d.value]);
    step.details.len() <= MOST_DETAILS
        && texts
            .into_iter()
            .chain(details)
            .all(|text| text.len() <= LONGEST_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reports_is_what_its_identity_says() {
        let of = |name: &str, groups: &[&str]| {
            let user = User::new(name, groups.iter().copied());
            process_of(&user).map(|(process, host)| (process, host.map(|host| host.to_string())))
        };
        let on = |process, node: &str| Some((process, Some(node.to_owned())));
        assert_eq!(of("system:node:w1", &["system:nodes"]), on("kubelet", "w1"));
        assert_eq!(of("system:node:w1", &[]), None);
        let overlay = "system:flannel-lite";
        assert_eq!(
            of("system:flannel-lite:w1", &[overlay]),
            on("flannel-lite", "w1")
        );
        assert_eq!(of("system:kube-scheduler", &[]), Some(("scheduler", None)));
        assert_eq!(of("kubernetes-admin", &["system:masters"]), None);
        let mut dns = User::service_account("kube-system", "hardway-dns", "u");
        dns.extra.insert(NODE_OF_TOKEN.into(), vec!["w2".into()]);
        assert_eq!(process_of(&dns), Some(("dns", Some("w2".into()))));
        let other = User::service_account("default", "hardway-dns", "u");
        assert_eq!(process_of(&other), None);
    }

    fn reporter(instance: &str) -> Reporter {
        Reporter {
            process: "kubelet",
            host: "w1".into(),
            instance: instance.into(),
        }
    }

    #[test]
    fn what_is_here_already_is_not_taken_twice() {
        let mut reporters = Reporters::default();
        let one = reporter("1");
        assert_eq!(reporters.reported(&one, 0, 3).unwrap_err().code, 409);
        reporters.enter(&one);
        assert!(!reporters.are_complete());
        assert_eq!(reporters.reported(&one, 0, 3).unwrap(), 0);
        assert!(reporters.are_complete());
        assert_eq!(reporters.reported(&one, 1, 3).unwrap(), 2);
        assert_eq!(reporters.reported(&one, 0, 2).unwrap(), 2);
        assert_eq!(reporters.next_of(&one), 4);
        // What went by while nobody read is missing, and no reason to wait.
        assert_eq!(reporters.reported(&one, 9, 1).unwrap(), 0);
        assert_eq!(reporters.next_of(&one), 10);
        reporters.expect_all();
        assert!(!reporters.are_complete());
        reporters.leave(&one);
        assert!(reporters.are_complete(), "nobody waits for who is gone");
    }

    #[test]
    fn a_host_is_known_by_few_names() {
        let mut reporters = Reporters::default();
        for instance in 0..100 {
            reporters.enter(&reporter(&instance.to_string()));
        }
        assert_eq!(reporters.0.len(), MOST_OF_ONE);
        assert!(reporters.find(&reporter("99")).is_some());
    }
}
