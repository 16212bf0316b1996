//! What is found out: the types that the engine answers with.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An object, by kind, namespace and name. Shown as kubectl writes it: `pod/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// As in manifests: `Pod`, `ReplicaSet`.
    pub kind: String,
    /// None for what is in no namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Subject {
    /// The object of this kind and name; an empty namespace is none.
    pub fn new(kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: namespace.filter(|it| !it.is_empty()).map(str::to_owned),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.to_lowercase(), self.name)
    }
}

/// How bad something is. The greater, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It explains what is seen; nothing is broken.
    Info,
    /// It works, but less well than wanted, or not for much longer.
    Warning,
    /// It does not work.
    Error,
}

/// Where a piece of evidence is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "at", rename_all = "lowercase")]
pub enum Source {
    /// A field, by its path: `spec.nodeName`.
    Field(String),
    /// A condition of the status, by its type.
    Condition(String),
    /// An event about the object, by its reason.
    Event(String),
    /// The log of a container.
    Log(String),
    /// What a server answered to a question, by what was asked for.
    Answer(String),
    /// Found by comparing several objects.
    Comparison,
}

/// One link of the chain from what was asked about to its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The object that says it.
    pub object: Subject,
    /// Where it says it.
    pub source: Source,
    /// What it says, in a line (a log: in several).
    pub says: String,
    /// Since when, as far as the object tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What would help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What to do, in a sentence.
    pub advice: String,
    /// A command line that does it or leads there; words in capitals are to be filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// What may not, or could not, be read, and might have said more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The resource as kubectl names it: `persistentvolumes`, `deployments.apps`.
    pub resource: String,
    /// The API server's reason.
    pub reason: String,
}

/// One thing that is wrong: its root cause, and the chain that leads there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The name of the cause in the table of causes: `image`, `pending`.
    pub cause: String,
    /// The object that is at fault.
    pub subject: Subject,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a line, without the object's name.
    pub summary: String,
    /// Since when, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// From the object asked about down to the cause.
    pub evidence: Vec<Evidence>,
    /// What would help, the best first.
    pub remedies: Vec<Remedy>,
    /// Other objects that are not well because of this, sorted.
    pub affected: Vec<Subject>,
}

/// All that is known about the object that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The object asked about.
    pub subject: Subject,
    /// The answer in a line: the worst cause, or that nothing is wrong.
    pub summary: String,
    /// The causes, the worst first. Empty if nothing is wrong.
    pub causes: Vec<Diagnosis>,
    /// What could not be read of what might have said more.
    pub unread: Vec<Unread>,
}

impl Explanation {
    /// Whether something is wrong, and not merely explained.
    pub fn is_wrong(&self) -> bool {
        self.causes.iter().any(|it| it.severity > Severity::Info)
    }
}
