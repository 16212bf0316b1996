//! From what is found with each object to causes: chains for one object, and a list for all.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::causes::{self, Found};
use crate::cluster::Cluster;
use crate::diagnosis::{Diagnosis, Explanation, Severity, Subject};
use crate::object::Object;
use crate::relations::below;
use crate::resources::{everything, needs};
use crate::snapshot::{Listing, Snapshot};
use crate::words;

/// Why nothing can be said about an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotExplained {
    /// There is no such object.
    #[error("{subject} is not there{}", meant(.near))]
    Missing {
        /// The object asked about.
        subject: Subject,
        /// Objects of the kind with names that are nearly the same, the nearest first.
        near: Vec<String>,
    },
    /// The user may not read objects of its kind, or they could not be read.
    #[error("{subject} can't be read: {reason}")]
    Unread {
        /// The object asked about.
        subject: Subject,
        /// The API server's reason.
        reason: String,
    },
}

fn meant(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; is it {}?", near.join(" or ")),
    }
}

/// What is found with objects, each looked at once.
struct Findings<'c, 'a> {
    cluster: &'c Cluster<'a>,
    of: HashMap<Subject, Vec<Found>>,
}

impl<'c, 'a> Findings<'c, 'a> {
    fn new(cluster: &'c Cluster<'a>) -> Self {
        Self {
            cluster,
            of: HashMap::new(),
        }
    }

    fn of(&mut self, object: &Object<'a>) -> &[Found] {
        let cluster = self.cluster;
        let found = self.of.entry(object.subject());
        found.or_insert_with(|| causes::find(cluster, object))
    }
}

/// An object, and all below it, each with the object that led there; nearest first.
fn walk<'a>(cluster: &Cluster<'a>, from: Object<'a>) -> Vec<(Object<'a>, Option<Subject>)> {
    let mut seen = BTreeSet::from([from.subject()]);
    let mut ahead = VecDeque::from([(from, None)]);
    let mut all = Vec::new();
    while let Some((object, above)) = ahead.pop_front() {
        let here = object.subject();
        for next in below(cluster, &object) {
            if seen.insert(next.subject()) {
                ahead.push_back((next, Some(here.clone())));
            }
        }
        all.push((object, above));
    }
    all
}

/// An object, and all that may be the reason why it is not well.
pub(crate) fn reach<'a>(cluster: &Cluster<'a>, from: Object<'a>) -> Vec<Object<'a>> {
    walk(cluster, from).into_iter().map(|it| it.0).collect()
}

/// The causes at or below an object: pairs of the object at fault and the finding. Symptoms
/// are causes only where nothing below explains them.
fn roots<'a>(findings: &mut Findings<'_, 'a>, from: Object<'a>) -> Vec<(Object<'a>, Found)> {
    let reached = reach(findings.cluster, from);
    let mut roots = Vec::new();
    let mut symptoms = Vec::new();
    for object in reached {
        for found in findings.of(&object) {
            match found.finding.is_symptom {
                true => symptoms.push((object, found.clone())),
                false => roots.push((object, found.clone())),
            }
        }
    }
    // A symptom of which nothing here or below is the reason stands by itself.
    symptoms.retain(|(object, symptom)| {
        let needed = symptom.finding.severity.min(Severity::Warning);
        let explains = |it: &Found| !it.finding.is_symptom && it.finding.severity >= needed;
        let below = reach(findings.cluster, *object);
        !below.iter().any(|it| findings.of(it).iter().any(explains))
    });
    // Of symptoms alone the lowest says most.
    let lowest = symptoms.last().map(|(object, _)| object.subject());
    symptoms.retain(|(object, _)| Some(object.subject()) == lowest);
    roots.extend(symptoms);
    roots
}

/// Puts together what is the same: one cause of the pods of one owner.
#[derive(Default)]
struct Ranking {
    by_key: BTreeMap<(String, String, Subject), Diagnosis>,
}

impl Ranking {
    fn add(&mut self, cluster: &Cluster<'_>, object: Object<'_>, diagnosis: Diagnosis, key: &str) {
        let found = cluster.find(&object.subject());
        let head = found.map_or_else(|| object.subject(), |it| cluster.head(it).subject());
        let key = (diagnosis.cause.clone(), key.to_owned(), head);
        let subject = diagnosis.subject.clone();
        match self.by_key.get_mut(&key) {
            None => drop(self.by_key.insert(key, diagnosis)),
            Some(there) => {
                there.affected.extend(diagnosis.affected);
                if there.subject != subject {
                    there.affected.push(subject);
                }
                there.since = match (there.since, diagnosis.since) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
        }
    }

    /// The worst first; of equals what affects most, then what is newest.
    fn ranked(self) -> Vec<Diagnosis> {
        let mut all: Vec<Diagnosis> = self.by_key.into_values().collect();
        for diagnosis in &mut all {
            diagnosis.affected.sort();
            diagnosis.affected.dedup();
            let own = diagnosis.subject.clone();
            diagnosis.affected.retain(|it| *it != own);
        }
        all.sort_by(|one, other| {
            let rank = |it: &Diagnosis| (it.severity, it.affected.len(), it.since);
            rank(other)
                .cmp(&rank(one))
                .then_with(|| one.subject.cmp(&other.subject))
        });
        all
    }
}

fn diagnosis(object: &Object<'_>, found: &Found) -> Diagnosis {
    let finding = found.finding.clone();
    Diagnosis {
        cause: found.cause.to_owned(),
        subject: object.subject(),
        severity: finding.severity,
        summary: finding.summary,
        since: finding.since,
        evidence: finding.evidence,
        remedies: finding.remedies,
        affected: Vec::new(),
    }
}

/// Why an object is not well.
///
/// # Errors
/// If it is not there, or objects of its kind could not be read.
pub fn explain(snapshot: &Snapshot, subject: &Subject) -> Result<Explanation, NotExplained> {
    let cluster = Cluster::new(snapshot);
    let Some(object) = cluster.find(subject) else {
        return Err(not_explained(&cluster, subject));
    };
    let mut findings = Findings::new(&cluster);
    let above: HashMap<Subject, Option<Subject>> = walk(&cluster, object)
        .into_iter()
        .map(|(object, above)| (object.subject(), above))
        .collect();
    let mut ranking = Ranking::default();
    for (root, found) in roots(&mut findings, object) {
        let mut told = diagnosis(&root, &found);
        let mut chain = Vec::new();
        let mut at = above.get(&root.subject()).cloned().flatten();
        while let Some(here) = at {
            if let Some(object) = cluster.find(&here) {
                let own = findings.of(&object).iter();
                let symptoms = own.filter(|it| it.finding.is_symptom);
                let evidence: Vec<_> = symptoms
                    .flat_map(|it| it.finding.evidence.clone())
                    .collect();
                chain.push(evidence);
            }
            at = above.get(&here).cloned().flatten();
        }
        let chain = chain.into_iter().rev().flatten();
        told.evidence = chain.chain(told.evidence).collect();
        ranking.add(&cluster, root, told, &found.finding.key);
    }
    let causes = ranking.ranked();
    let summary = match causes.first() {
        None => "nothing is wrong with it".to_owned(),
        Some(first) if first.subject == *subject => first.summary.clone(),
        Some(first) => format!("{}: {}", first.subject, first.summary),
    };
    Ok(Explanation {
        subject: subject.clone(),
        summary,
        causes,
        unread: snapshot.unread(needs(&subject.kind)),
    })
}

fn not_explained(cluster: &Cluster<'_>, subject: &Subject) -> NotExplained {
    let mut lists = cluster.snapshot.lists.values();
    let entry = lists.find(|it| it.resource.kind == subject.kind);
    let reason = match entry.map(|it| &it.listing) {
        Some(Listing::Read(_)) => None,
        Some(Listing::Forbidden(reason) | Listing::Failed(reason)) => Some(reason.clone()),
        Some(Listing::NotServed) => Some("this cluster does not serve its kind".to_owned()),
        None => Some(format!("{} was not read", subject.kind)),
    };
    let subject = subject.clone();
    match reason {
        Some(reason) => NotExplained::Unread { subject, reason },
        None => {
            let namespace = subject.namespace.as_deref().unwrap_or_default();
            let there = cluster.within(&subject.kind, namespace).iter();
            let near = words::near(&subject.name, there.map(Object::name));
            let mut near: Vec<String> = near.into_iter().map(str::to_owned).collect();
            let elsewhere = cluster.all(&subject.kind).iter();
            let elsewhere = elsewhere.filter(|it| it.name() == subject.name);
            near.extend(elsewhere.map(|it| format!("{} in {}", it.name(), it.namespace())));
            NotExplained::Missing { subject, near }
        }
    }
}

/// Everything that is wrong, or in one namespace and with what its objects depend on; the
/// worst first, each root cause once. What is only explained (severity info) is left out.
pub fn problems(snapshot: &Snapshot, namespace: Option<&str>) -> Vec<Diagnosis> {
    let cluster = Cluster::new(snapshot);
    let mut findings = Findings::new(&cluster);
    let mut ranking = Ranking::default();
    let is_meant = |object: &Object<'_>| {
        namespace.is_none_or(|it| {
            object.namespace() == it || (object.kind == "Namespace" && object.name() == it)
        })
    };
    let objects: Vec<_> = cluster.objects().filter(is_meant).collect();
    for object in objects {
        if findings.of(&object).is_empty() {
            continue;
        }
        for (root, found) in roots(&mut findings, object) {
            let mut told = diagnosis(&root, &found);
            if root.subject() != object.subject() {
                told.affected.push(object.subject());
            }
            ranking.add(&cluster, root, told, &found.finding.key);
        }
    }
    if namespace.is_none() {
        for told in causes::of_certificates(snapshot) {
            let key = (told.cause.clone(), String::new(), told.subject.clone());
            ranking.by_key.insert(key, told);
        }
    }
    let mut all = ranking.ranked();
    all.retain(|it| it.severity > Severity::Info);
    all
}

impl Snapshot {
    /// What could not be read of what [`problems`] looks at.
    pub fn all_unread(&self) -> Vec<crate::Unread> {
        self.unread(everything())
    }
}
