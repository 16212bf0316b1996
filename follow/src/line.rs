//! The lines that the apiserver sends: steps of all processes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
pub enum Line {
    /// Something that a process did or learnt.
    #[serde(rename = "STEP")]
    Step(Box<Step>),
    /// All that was known when the reading began has been sent.
    #[serde(rename = "SYNCED")]
    Synced,
    /// So many steps are missing here: they came faster than they were read.
    #[serde(rename = "LOST")]
    Lost {
        /// How many.
        count: u64,
    },
    /// One of several apiservers says no more: nobody sends this.
    #[serde(skip)]
    Away {
        /// Which.
        address: String,
        /// Why.
        why: String,
    },
    /// What a later version sends.
    #[serde(other)]
    Unknown,
}

/// Something that a process did or learnt, about one object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Step {
    /// When it began.
    pub time: Timestamp,
    /// Which process: `kubelet`, `scheduler` …
    pub process: String,
    /// On which host.
    pub host: String,
    /// The object, unless it is work on a key.
    #[serde(flatten)]
    pub object: Object,
    /// The object's UID, if it is known.
    pub uid: String,
    /// The request that it is part of, or the name of the work.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// In one word.
    pub what: String,
    /// How long it took.
    pub seconds: f64,
    /// More, by name.
    pub details: BTreeMap<String, String>,
}

/// Which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(default)]
pub struct Object {
    /// `pods`, `deployments.apps` …
    pub resource: String,
    /// Its namespace, or empty.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Object {
    /// As people name it: `pod/web`, `deployment.apps/web`; `pods`, if it is about many.
    pub fn short(&self) -> String {
        if self.name.is_empty() {
            return self.resource.clone();
        }
        let (plural, group) = match self.resource.split_once('.') {
            Some((plural, group)) => (plural, format!(".{group}")),
            None => (self.resource.as_str(), String::new()),
        };
        let kind = match plural {
            _ if plural == "endpoints" => plural.to_owned(),
            _ if plural.ends_with("ies") => format!("{}y", &plural[..plural.len() - 3]),
            _ if plural.ends_with("sses") => plural[..plural.len() - 2].to_owned(),
            _ => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
        };
        format!("{kind}{group}/{}", self.name)
    }
}

impl Step {
    /// A detail, or nothing.
    pub fn detail(&self, name: &str) -> &str {
        self.details.get(name).map_or("", String::as_str)
    }

    /// When it ended, in seconds since 1970.
    pub fn end(&self) -> f64 {
        seconds(self.time) + self.seconds
    }
}

/// Seconds since 1970.
pub fn seconds(time: Timestamp) -> f64 {
    // Microseconds of this age are exact.
    time.as_microsecond() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_also_those_of_later_versions() {
        let line = r#"{"type":"STEP","time":"2026-01-02T03:04:05.678901Z","process":"kubelet",
            "host":"w1","resource":"pods","namespace":"shop","name":"web","uid":"u","what":"sandbox",
            "seconds":0.25,"details":{"attempt":"0"},"new":1}"#;
        let Line::Step(step) = serde_json::from_str(line).unwrap() else {
            panic!("a step");
        };
        assert_eq!(step.object.short(), "pod/web");
        assert_eq!((step.detail("attempt"), step.detail("other")), ("0", ""));
        let rest: Vec<Line> = [
            r#"{"type":"SYNCED"}"#,
            r#"{"type":"LOST","count":3}"#,
            r#"{"type":"NEW","x":1}"#,
        ]
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
        assert!(matches!(
            rest[..],
            [Line::Synced, Line::Lost { count: 3 }, Line::Unknown]
        ));
    }

    #[test]
    fn objects_have_the_names_that_people_type() {
        for (resource, expected) in [
            ("pods", "pod/a"),
            ("deployments.apps", "deployment.apps/a"),
            (
                "networkpolicies.networking.k8s.io",
                "networkpolicy.networking.k8s.io/a",
            ),
            ("ingresses.networking.k8s.io", "ingress.networking.k8s.io/a"),
            ("endpoints", "endpoints/a"),
            (
                "priorityclasses.scheduling.k8s.io",
                "priorityclass.scheduling.k8s.io/a",
            ),
        ] {
            let object = Object {
                resource: resource.into(),
                name: "a".into(),
                ..Object::default()
            };
            assert_eq!(object.short(), expected);
        }
        let many = Object {
            resource: "pods".into(),
            ..Object::default()
        };
        assert_eq!(many.short(), "pods");
    }
}
