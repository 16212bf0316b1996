//! The processes that hand in their steps. Each speaks for itself alone: which process it is
//! and where it runs is taken from its identity, never from what it says.

use super::pods::{self, Pod};
use super::rings::Share;
use super::{Steps, Told};
use futures_util::stream::{self, Stream};
use hardway_access::{Objects, User};
use hardway_client::steps::{LONGEST_TEXT, MOST_AT_ONCE, MOST_DETAILS};
use hardway_proto::Status;
use hardway_proto::api;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// So many processes are known; of those that have no stream the one that came first is
/// forgotten.
const MOST_KNOWN: usize = 16_384;
/// So many of one component on a node: more were restarted.
const MOST_OF_NODE: usize = 8;
/// So many of one component at an address, which may be that of many hosts behind it.
const MOST_OF_ADDRESS: usize = 1024;
/// Seconds after which one who was one too many may come again.
const COME_AGAIN: i32 = 30;

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
/// Those whose credentials a node has, and which have nothing to say of other nodes' pods.
const ON_NODES: [&str; 3] = ["kubelet", "flannel-lite", "proxy"];
/// What a token of a pod says of the node (`k8s.io/apiserver`,
/// `pkg/authentication/serviceaccount`).
const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// Where a process runs, as far as its identity or its connection says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// On that node: it has the identity of one there.
    Node(Arc<str>),
    /// On whichever host has that address.
    Address(IpAddr),
}

/// A component, and where it runs.
type Component = (&'static str, Place);

/// A process that reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    component: Component,
    instance: String,
}

impl Reporter {
    /// Who has this identity, calls from this address and has given itself a name.
    ///
    /// # Errors
    /// 403 for who is none of hardway's components, 400 for an odd name.
    pub fn of(user: &User, address: IpAddr, instance: &str) -> Result<Self, Status> {
        if instance.is_empty() || instance.len() > 64 {
            return Err(Status::bad_request(
                "the instance must have a name of at most 64 bytes",
            ));
        }
        let (process, node) = process_of(user).ok_or_else(|| {
            let who = &user.name;
            let why = format!("User {who:?} is no component that has steps to report");
            Status::forbidden("", "", "", &why)
        })?;
        Ok(Self {
            component: (process, node.map_or(Place::Address(address), Place::Node)),
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

/// What is known of a process.
struct Known {
    /// How many came before it.
    came: u64,
    /// The name of its host, once that is known.
    host: Option<Arc<str>>,
    /// The number of its first step that isn't here.
    next: u64,
    /// How many streams it has open.
    streams: usize,
    /// Whether it has handed in what it had when somebody began to read.
    is_complete: bool,
}

impl Known {
    /// A report came. How many of its first steps are here already.
    fn reported(&mut self, first: u64, count: usize) -> usize {
        let here = usize::try_from(self.next.saturating_sub(first)).unwrap_or(usize::MAX);
        self.next = self.next.max(first.saturating_add(count as u64));
        self.is_complete |= count < MOST_AT_ONCE;
        here.min(count)
    }
}

/// The processes that are there, or were, by the names that they gave themselves.
#[derive(Default)]
pub(super) struct Reporters {
    known: HashMap<Component, HashMap<String, Known>>,
    count: usize,
    came: u64,
}

impl Reporters {
    /// From each process is expected now what happened up to now.
    pub(super) fn expect_all(&mut self) {
        for known in self.known.values_mut().flat_map(HashMap::values_mut) {
            known.is_complete = false;
        }
    }

    /// Whether all that are there have handed that in.
    pub(super) fn are_complete(&self) -> bool {
        let mut all = self.known.values().flat_map(HashMap::values);
        all.all(|known| known.streams == 0 || known.is_complete)
    }

    fn find(&mut self, reporter: &Reporter) -> Option<&mut Known> {
        let of_it = self.known.get_mut(&reporter.component)?;
        of_it.get_mut(&reporter.instance)
    }

    /// A stream of the process begins, on a host of that name, if it is known.
    ///
    /// # Errors
    /// 429 if there are too many: nobody who is there has to go.
    fn enter(&mut self, reporter: &Reporter, host: Option<Arc<str>>) -> Result<(), Status> {
        if let Some(known) = self.find(reporter) {
            known.streams += 1;
            known.host = host.or(known.host.take());
            return Ok(());
        }
        let component = &reporter.component;
        let most = match component.1 {
            Place::Node(_) => MOST_OF_NODE,
            Place::Address(_) => MOST_OF_ADDRESS,
        };
        let alike = self.known.get(component).map_or(0, HashMap::len);
        if alike >= most {
            self.forget(Some(component))?;
        }
        if self.count >= MOST_KNOWN {
            self.forget(None)?;
        }
        let known = Known {
            came: self.came,
            host,
            next: 0,
            streams: 1,
            is_complete: false,
        };
        let of_it = self.known.entry(component.clone()).or_default();
        of_it.insert(reporter.instance.clone(), known);
        self.count += 1;
        self.came += 1;
        Ok(())
    }

    /// Forgets the process that came first, of that component or of all, and has no stream.
    fn forget(&mut self, component: Option<&Component>) -> Result<(), Status> {
        let all = self.known.iter();
        let first = all
            .filter(|(of, _)| component.is_none_or(|component| component == *of))
            .flat_map(|(of, known)| {
                known
                    .iter()
                    .map(move |(instance, known)| (of, instance, known))
            })
            .filter(|(_, _, known)| known.streams == 0)
            .min_by_key(|(_, _, known)| known.came)
            .map(|(of, instance, _)| (of.clone(), instance.clone()));
        let Some((of, instance)) = first else {
            return Err(Status::too_many_requests(
                "too many processes of this component follow readers of steps already",
                COME_AGAIN,
            ));
        };
        if let Some(known) = self.known.get_mut(&of) {
            known.remove(&instance);
            self.count -= 1;
            if known.is_empty() {
                self.known.remove(&of);
            }
        }
        Ok(())
    }

    fn leave(&mut self, reporter: &Reporter) {
        if let Some(known) = self.find(reporter) {
            known.streams = known.streams.saturating_sub(1);
        }
    }

    fn next_of(&mut self, reporter: &Reporter) -> u64 {
        self.find(reporter).map_or(0, |known| known.next)
    }

    /// The process, which is there.
    ///
    /// # Errors
    /// 409, if it has no stream here: its call went to another apiserver.
    fn present(&mut self, reporter: &Reporter) -> Result<&mut Known, Status> {
        let known = self.find(reporter).filter(|known| known.streams > 0);
        known.ok_or_else(|| {
            let why = "the process follows no readers of this apiserver";
            Status::conflict("", "", "", why)
        })
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
    /// The name of the host of a process: of the node that it has the identity of, of this
    /// host, or of the node that has its address.
    fn host_of(&self, reporter: &Reporter, objects: &dyn Objects) -> Option<Arc<str>> {
        let address = match &reporter.component.1 {
            Place::Node(node) => return Some(node.clone()),
            Place::Address(address) => *address,
        };
        self.own_host(address).or_else(|| {
            let revision = objects.revision("", "nodes");
            let nodes = || objects.list("", "nodes", None);
            self.hosts.name_of(address, revision, nodes)
        })
    }

    /// Tells a process whether somebody reads: at once, and whenever that changes.
    ///
    /// # Errors
    /// 429 if too many are told.
    pub fn readers(
        self: &Arc<Self>,
        reporter: Reporter,
        objects: &dyn Objects,
    ) -> Result<impl Stream<Item = api::StepReaders> + Send + use<>, Status> {
        let host = self.host_of(&reporter, objects);
        self.reporters.lock().enter(&reporter, host)?;
        let entered = Entered {
            steps: self.clone(),
            reporter,
        };
        let readers = self.readers.subscribe();
        Ok(stream::unfold(
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
        ))
    }

    /// Takes in a report, if somebody reads. What is said on a node of pods of other nodes is
    /// left out.
    ///
    /// # Errors
    /// If a step is larger than they are, or the process isn't known.
    pub fn reported(
        &self,
        reporter: &Reporter,
        report: api::ReportStepsRequest,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let mut steps = report.steps;
        if steps.len() > MOST_AT_ONCE || !steps.iter().all(is_bounded) {
            return Err(Status::bad_request(format!(
                "a report has at most {MOST_AT_ONCE} steps, of at most {MOST_DETAILS} details and {LONGEST_TEXT} bytes of text each"
            )));
        }
        let (here, host) = {
            let mut reporters = self.reporters.lock();
            let known = reporters.present(reporter)?;
            // It hands them in again when somebody reads.
            if *self.readers.borrow() == 0 {
                return Ok(());
            }
            let here = known.reported(report.first, steps.len());
            (here, known.host.clone())
        };
        steps.drain(..here);
        // Its Node may have come after it.
        let host = host.or_else(|| self.host_of(reporter, objects));
        let host = host.unwrap_or_else(|| match &reporter.component.1 {
            Place::Node(node) => node.clone(),
            Place::Address(address) => address.to_string().into(),
        });
        for step in &mut steps {
            normalise(&mut step.resource);
        }
        let process = reporter.component.0;
        if ON_NODES.contains(&process) {
            let read = |namespace: &str, name: &str| Pod::read(objects, namespace, name);
            steps = pods::of_node(&host, steps, read, |uids| {
                self.rings.lock().pods_on(&host, uids)
            });
        }
        let told = steps.into_iter().map(|step| Told {
            process,
            host: host.clone(),
            step,
        });
        self.add(Share::Reported, told);
        Ok(())
    }
}

/// A resource has one name: the core group's have no dot.
fn normalise(resource: &mut String) {
    let len = resource.trim_end_matches('.').len();
    resource.truncate(len);
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
            component: ("kubelet", Place::Node("w1".into())),
            instance: instance.into(),
        }
    }

    #[test]
    fn what_is_here_already_is_not_taken_twice() {
        let mut reporters = Reporters::default();
        let one = reporter("1");
        let refused = reporters.present(&one).map(|_| ()).unwrap_err();
        assert_eq!(refused.code, 409);
        reporters.enter(&one, None).unwrap();
        assert!(!reporters.are_complete());
        let report = |reporters: &mut Reporters, first, count| {
            reporters.present(&one).unwrap().reported(first, count)
        };
        assert_eq!(report(&mut reporters, 0, 3), 0);
        assert!(reporters.are_complete());
        assert_eq!(report(&mut reporters, 1, 3), 2);
        assert_eq!(report(&mut reporters, 0, 2), 2);
        assert_eq!(reporters.next_of(&one), 4);
        // What went by while nobody read is missing, and no reason to wait.
        assert_eq!(report(&mut reporters, 9, 1), 0);
        assert_eq!(reporters.next_of(&one), 10);
        reporters.expect_all();
        assert!(!reporters.are_complete());
        reporters.leave(&one);
        assert!(reporters.are_complete(), "nobody waits for who is gone");
    }

    #[test]
    fn who_is_gone_makes_room_and_nobody_else() {
        let mut reporters = Reporters::default();
        for instance in 0..MOST_OF_NODE {
            let one = reporter(&instance.to_string());
            reporters.enter(&one, None).unwrap();
        }
        let refused = reporters.enter(&reporter("new"), None).unwrap_err();
        assert_eq!(refused.code, 429);
        assert!(reporters.present(&reporter("0")).is_ok());
        reporters.leave(&reporter("3"));
        reporters.enter(&reporter("new"), None).unwrap();
        assert!(reporters.find(&reporter("3")).is_none());
        assert_eq!(reporters.count, MOST_OF_NODE);
        // Many hosts may have one address.
        for instance in 0..100 {
            let proxy = Reporter {
                component: ("proxy", Place::Address([10, 0, 0, 1].into())),
                instance: instance.to_string(),
            };
            reporters.enter(&proxy, None).unwrap();
        }
    }

    #[test]
    fn a_resource_has_one_name() {
        for (resource, expected) in [
            ("pods.", "pods"),
            ("pods", "pods"),
            ("jobs.batch", "jobs.batch"),
        ] {
            let mut resource = resource.to_owned();
            normalise(&mut resource);
            assert_eq!(resource, expected);
        }
    }
}
