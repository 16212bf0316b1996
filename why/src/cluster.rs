//! A snapshot made ready for questions: by name, namespace, owner.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use hardway_proto::labels::Selector;
use hardway_proto::quantity::{Format, Quantity};
use hardway_proto::quota::{Amounts, pod_total};
use jiff::Timestamp;
use serde_json::Value;

use crate::diagnosis::{Evidence, Source, Subject};
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::snapshot::{Listing, Snapshot};
use crate::words;

/// Something that was told of an object, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub reason: &'a str,
    pub message: &'a str,
    pub count: i64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    about: &'a Value,
}

impl Event<'_> {
    /// As evidence about the object it tells of.
    pub fn evidence(&self) -> Evidence {
        let times = match self.count {
            ..=1 => String::new(),
            count => format!(" (×{count})"),
        };
        Evidence {
            object: Subject::new(
                self.about.text("/kind").unwrap_or_default(),
                self.about.text("/namespace"),
                self.about.text("/name").unwrap_or_default(),
            ),
            source: Source::Event(self.reason.to_owned()),
            says: format!("{}{times}", words::one_line(self.message)),
            since: self.first.or(self.last),
        }
    }
}

/// By kind and namespace.
type Nested<'a, T> = HashMap<&'a str, HashMap<&'a str, T>>;

/// A kind, a namespace and a name.
type Name<'a> = (&'static str, &'a str, String);

pub(crate) struct Cluster<'a> {
    pub snapshot: &'a Snapshot,
    pub now: Timestamp,
    by_kind: HashMap<&'a str, Vec<Object<'a>>>,
    by_namespace: Nested<'a, Vec<Object<'a>>>,
    by_name: Nested<'a, HashMap<&'a str, Object<'a>>>,
    owned: HashMap<&'a str, Vec<Object<'a>>>,
    pods_on: HashMap<&'a str, Vec<Object<'a>>>,
    used: OnceCell<HashMap<&'a str, Amounts>>,
    /// What was found with the first of the pending pods that ask for the same: with thousands
    /// of pods and nodes it is not found again for each.
    pub pending: RefCell<HashMap<String, Finding>>,
    near: RefCell<HashMap<Name<'a>, Vec<&'a str>>>,
    events: Nested<'a, HashMap<&'a str, Vec<Event<'a>>>>,
}

impl<'a> Cluster<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut cluster = Self {
            snapshot,
            now: snapshot.now,
            by_kind: HashMap::new(),
            by_namespace: HashMap::new(),
            by_name: HashMap::new(),
            owned: HashMap::new(),
            pods_on: HashMap::new(),
            used: OnceCell::new(),
            pending: RefCell::default(),
            near: RefCell::default(),
            events: HashMap::new(),
        };
        for entry in snapshot.lists.values() {
            let Listing::Read(objects) = &entry.listing else {
                continue;
            };
            let kind: &str = &entry.resource.kind;
            for value in objects {
                match kind {
                    "Event" => cluster.add_event(value),
                    _ => cluster.add(Object { kind, value }),
                }
            }
        }
        let namespaces = cluster.events.values_mut().flat_map(HashMap::values_mut);
        for events in namespaces.flat_map(HashMap::values_mut) {
            events.sort_by_key(|event| std::cmp::Reverse(event.last));
        }
        cluster
    }

    fn add(&mut self, object: Object<'a>) {
        let (kind, namespace) = (object.kind, object.namespace());
        self.by_kind.entry(kind).or_default().push(object);
        let namespaces = self.by_namespace.entry(kind).or_default();
        namespaces.entry(namespace).or_default().push(object);
        let namespaces = self.by_name.entry(kind).or_default();
        let names = namespaces.entry(namespace).or_default();
        names.insert(object.name(), object);
        let is_over = || {
            matches!(
                object.value.text("/status/phase"),
                Some("Succeeded" | "Failed")
            )
        };
        if let Some(node) = object.value.text("/spec/nodeName")
            && kind == "Pod"
            && !is_over()
        {
            self.pods_on.entry(node).or_default().push(object);
        }
        if let Some((_, _, uid)) = object.controller() {
            self.owned.entry(uid).or_default().push(object);
        }
    }

    fn add_event(&mut self, value: &'a Value) {
        let about = value.get("involvedObject").unwrap_or(&Value::Null);
        let count = value.number("/series/count").or(value.number("/count"));
        let event = Event {
            reason: value.text("/reason").unwrap_or_default(),
            message: value.text("/message").unwrap_or_default(),
            count: count.unwrap_or(1),
            first: value.time("/firstTimestamp").or(value.time("/eventTime")),
            last: value
                .time("/series/lastObservedTime")
                .or(value.time("/lastTimestamp"))
                .or(value.time("/eventTime")),
            about,
        };
        let part = |pointer| about.text(pointer).unwrap_or_default();
        let namespaces = self.events.entry(part("/kind")).or_default();
        let names = namespaces.entry(part("/namespace")).or_default();
        names.entry(part("/name")).or_default().push(event);
    }

    /// Whether a kind could be listed; otherwise its absence says nothing.
    pub fn can_read(&self, kind: &str) -> bool {
        let mut lists = self.snapshot.lists.values();
        lists.any(|it| it.resource.kind == kind && matches!(it.listing, Listing::Read(_)))
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &str) -> &[Object<'a>] {
        self.by_kind.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The objects of a kind in a namespace.
    pub fn within(&self, kind: &str, namespace: &str) -> &[Object<'a>] {
        let namespaces = self.by_namespace.get(kind);
        let there = namespaces.and_then(|it| it.get(namespace));
        there.map_or(&[], Vec::as_slice)
    }

    /// Names of objects of a kind in a namespace that somebody may have meant by a name that is
    /// none. All pods of a set ask for the same one: it is looked for once.
    pub fn near(&self, kind: &'static str, namespace: &'a str, name: &str) -> Vec<&'a str> {
        let mut known = self.near.borrow_mut();
        let near = known.entry((kind, namespace, name.to_owned()));
        let others = || self.within(kind, namespace).iter().map(Object::name);
        near.or_insert_with(|| words::near(name, others())).clone()
    }

    /// All objects but events.
    pub fn objects(&self) -> impl Iterator<Item = Object<'a>> {
        self.by_kind.values().flatten().copied()
    }

    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Object<'a>> {
        let names = self.by_name.get(kind)?.get(namespace)?;
        names.get(name).copied()
    }

    pub fn find(&self, subject: &Subject) -> Option<Object<'a>> {
        let namespace = subject.namespace.as_deref().unwrap_or_default();
        self.get(&subject.kind, namespace, &subject.name)
    }

    /// The pods that take up room on a node.
    pub fn on_node(&self, node: &str) -> &[Object<'a>] {
        self.pods_on.get(node).map_or(&[], Vec::as_slice)
    }

    /// What the pods of a node ask for together, and how many they are.
    pub fn used(&self, node: &str) -> Amounts {
        let sum = |pods: &Vec<Object<'a>>| {
            let mut sum = Amounts::new();
            for pod in pods {
                for (name, amount) in pod_total(pod.value, "requests") {
                    *sum.entry(name).or_default() += amount;
                }
            }
            let number = i64::try_from(pods.len()).unwrap_or(i64::MAX);
            sum.insert(
                "pods".to_owned(),
                Quantity::from_value(number, Format::DecimalSi),
            );
            sum
        };
        let all = self.used.get_or_init(|| {
            let nodes = self.pods_on.iter();
            nodes.map(|(node, pods)| (*node, sum(pods))).collect()
        });
        all.get(node).cloned().unwrap_or_default()
    }

    /// The objects of a kind that an object controls.
    pub fn owned(&self, owner: &Object<'_>, kind: &str) -> Vec<Object<'a>> {
        let owned = self.owned.get(owner.uid()).into_iter().flatten();
        owned.filter(|it| it.kind == kind).copied().collect()
    }

    /// The object's controller, if it was read.
    pub fn owner(&self, object: &Object<'_>) -> Option<Object<'a>> {
        let (kind, name, uid) = object.controller()?;
        let owner = self.get(kind, object.namespace(), name)?;
        (owner.uid() == uid).then_some(owner)
    }

    /// What stands at the head of an object's owners: the Deployment of a pod, or itself; and of
    /// all in a namespace that is being deleted the namespace.
    pub fn head(&self, object: Object<'a>) -> Object<'a> {
        let mut head = object;
        // Owners that own each other are told of by nobody, and end here.
        for _ in 0..8 {
            match self.owner(&head) {
                Some(owner) => head = owner,
                None => break,
            }
        }
        // Of a namespace that is being deleted all is one.
        let namespace = self.get("Namespace", "", head.namespace());
        let namespace = namespace.filter(|it| it.deleted().is_some());
        namespace.unwrap_or(head)
    }

    /// The events about an object, the newest first.
    pub fn events(&self, object: &Object<'_>) -> Vec<&Event<'a>> {
        let namespaces = self.events.get(object.kind);
        let names = namespaces.and_then(|it| it.get(object.namespace()));
        let there = names.and_then(|it| it.get(object.name()));
        let uid = object.uid();
        // Nodes' events have the name for their UID.
        let about_it = |event: &&Event<'a>| {
            let theirs = event.about.text("/uid").unwrap_or_default();
            theirs.is_empty() || uid.is_empty() || theirs == uid || object.kind == "Node"
        };
        there.into_iter().flatten().filter(about_it).collect()
    }

    /// The newest event about an object with one of these reasons.
    pub fn event(&self, object: &Object<'_>, reasons: &[&str]) -> Option<&Event<'a>> {
        let mut events = self.events(object).into_iter();
        events.find(|event| reasons.contains(&event.reason))
    }

    /// The pods of a namespace that a selector selects.
    pub fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Object<'a>> {
        let pods = self.within("Pod", namespace).iter();
        pods.filter(|pod| selector.matches_with(|key| pod.label(key)))
            .copied()
            .collect()
    }

    /// How long ago something was, in whole seconds; never less than none.
    pub fn seconds_since(&self, time: Timestamp) -> i64 {
        (self.now.as_second() - time.as_second()).max(0)
    }
}
