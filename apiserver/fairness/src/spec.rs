//! FlowSchemas and PriorityLevelConfigurations, as far as they steer requests.

use serde::Deserialize;
use std::sync::Arc;

/// An object that says nothing that could be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError(String);

impl std::fmt::Display for SpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

/// What tells a schema's flows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distinguisher {
    /// Who asks.
    User,
    /// The namespace of what is asked for.
    Namespace,
}

/// Which requests go to a priority level.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSchema {
    /// Its name.
    pub name: Arc<str>,
    /// Its object's UID.
    pub uid: Arc<str>,
    /// Lower ones are asked first.
    pub precedence: i32,
    /// The priority level's name.
    pub level: String,
    /// Into which flows; all in one if absent.
    pub distinguisher: Option<Distinguisher>,
    /// A request that any of these matches is one of its own.
    pub rules: Vec<Rule>,
}

/// What a level does with a request that there is no seat for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitResponse {
    /// There always is one.
    Exempt,
    /// It is refused.
    Reject,
    /// It waits.
    Queue(Queuing),
}

/// More queues than this no level has, wherever its object came from: each is
/// memory from the start.
const MAX_QUEUES: usize = 10_000;

/// The queues of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queuing {
    /// How many there are.
    pub queues: usize,
    /// How many of them one flow uses.
    pub hand: usize,
    /// How many requests wait in each at most.
    pub length: usize,
}

/// A share of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorityLevel {
    /// Its name.
    pub name: Arc<str>,
    /// Its object's UID.
    pub uid: Arc<str>,
    /// Its weight among all levels.
    pub shares: u32,
    /// The percentage of its seats that others may use.
    pub lendable: u32,
    /// The percentage of its seats that it may use of others'; all if absent.
    pub borrowing: Option<u32>,
    /// What happens when all its seats are taken.
    pub response: LimitResponse,
}

/// Whom a rule is about. `*` is everybody of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// Service accounts: namespace and name.
    ServiceAccount(String, String),
}

/// Some requests of some subjects.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) resources: Vec<ResourceRule>,
    pub(crate) paths: Vec<PathRule>,
}

/// Requests for resources. `*` is any.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceRule {
    pub verbs: Vec<String>,
    #[serde(rename = "apiGroups")]
    pub groups: Vec<String>,
    /// A subresource is `pods/log`.
    pub resources: Vec<String>,
    /// Whether requests without a namespace are meant.
    pub cluster_scope: bool,
    pub namespaces: Vec<String>,
}

/// Requests for anything else.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PathRule {
    pub verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    pub urls: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<S> {
    metadata: Metadata,
    spec: S,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SchemaSpec {
    priority_level_configuration: Named,
    matching_precedence: i32,
    distinguisher_method: Option<Typed>,
    rules: Option<Vec<RuleSpec>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Typed {
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuleSpec {
    subjects: Option<Vec<SubjectSpec>>,
    resource_rules: Option<Vec<ResourceRule>>,
    non_resource_rules: Option<Vec<PathRule>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SubjectSpec {
    kind: String,
    user: Named,
    group: Named,
    service_account: Named,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LevelSpec {
    r#type: String,
    limited: Option<Limited>,
    exempt: Option<Exempt>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limited {
    nominal_concurrency_shares: Option<u32>,
    lendable_percent: Option<u32>,
    borrowing_limit_percent: Option<u32>,
    limit_response: Response,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Exempt {
    nominal_concurrency_shares: Option<u32>,
    lendable_percent: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    r#type: String,
    queuing: Option<QueuingSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueuingSpec {
    queues: usize,
    hand_size: usize,
    queue_length_limit: usize,
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, SpecError> {
    serde_json::from_slice(json).map_err(|error| SpecError(error.to_string()))
}

impl FlowSchema {
    /// As its object says.
    pub fn parse(json: &[u8]) -> Result<Self, SpecError> {
        let Object { metadata, spec } = parse::<Object<SchemaSpec>>(json)?;
        let distinguisher = match spec.distinguisher_method {
            None => None,
            Some(method) => Some(match method.r#type.as_str() {
                "ByUser" => Distinguisher::User,
                "ByNamespace" => Distinguisher::Namespace,
                other => return Err(SpecError(format!("distinguisher method {other:?}"))),
            }),
        };
        let rules = spec.rules.unwrap_or_default();
        Ok(Self {
            name: metadata.name.into(),
            uid: metadata.uid.into(),
            precedence: spec.matching_precedence,
            level: spec.priority_level_configuration.name,
            distinguisher,
            rules: rules
                .into_iter()
                .map(Rule::from_spec)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Rule {
    fn from_spec(spec: RuleSpec) -> Result<Self, SpecError> {
        let subject = |subject: SubjectSpec| match subject.kind.as_str() {
            "User" => Ok(Subject::User(subject.user.name)),
            "Group" => Ok(Subject::Group(subject.group.name)),
            "ServiceAccount" => {
                let Named { namespace, name } = subject.service_account;
                Ok(Subject::ServiceAccount(namespace, name))
            }
            other => Err(SpecError(format!("subject of kind {other:?}"))),
        };
        let subjects = spec.subjects.unwrap_or_default();
        Ok(Self {
            subjects: subjects
                .into_iter()
                .map(subject)
                .collect::<Result<_, _>>()?,
            resources: spec.resource_rules.unwrap_or_default(),
            paths: spec.non_resource_rules.unwrap_or_default(),
        })
    }
}

impl PriorityLevel {
    /// As its object says.
    pub fn parse(json: &[u8]) -> Result<Self, SpecError> {
        let Object { metadata, spec } = parse::<Object<LevelSpec>>(json)?;
        let (shares, lendable, borrowing, response) =
            match (spec.r#type.as_str(), spec.limited, spec.exempt) {
                ("Exempt", None, exempt) => {
                    let exempt = exempt.unwrap_or_default();
                    let shares = exempt.nominal_concurrency_shares.unwrap_or(0);
                    (shares, exempt.lendable_percent, None, LimitResponse::Exempt)
                }
                ("Limited", Some(limited), None) => (
                    limited.nominal_concurrency_shares.unwrap_or(30),
                    limited.lendable_percent,
                    limited.borrowing_limit_percent,
                    limited.limit_response.parsed()?,
                ),
                (kind, _, _) => {
                    let message = format!("type {kind:?} does not go with the fields that are set");
                    return Err(SpecError(message));
                }
            };
        Ok(Self {
            name: metadata.name.into(),
            uid: metadata.uid.into(),
            shares,
            lendable: lendable.unwrap_or(0).min(100),
            borrowing,
            response,
        })
    }
}

impl Response {
    fn parsed(self) -> Result<LimitResponse, SpecError> {
        match (self.r#type.as_str(), self.queuing) {
            ("Reject", None) => Ok(LimitResponse::Reject),
            ("Queue", Some(of))
                if of.queues <= MAX_QUEUES && (1..=of.queues).contains(&of.hand_size) =>
            {
                Ok(LimitResponse::Queue(Queuing {
                    queues: of.queues,
                    hand: of.hand_size,
                    length: of.queue_length_limit,
                }))
            }
            (kind, _) => Err(SpecError(format!("limit response {kind:?} without sense"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn level(spec: serde_json::Value) -> Result<PriorityLevel, SpecError> {
        let object = json!({"metadata": {"name": "x", "uid": "u"}, "spec": spec});
        PriorityLevel::parse(object.to_string().as_bytes())
    }

    #[test]
    fn levels_are_read() {
        let read = level(json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": 40, "lendablePercent": 25,
            "limitResponse": {"type": "Queue",
                "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}}}}))
        .unwrap();
        assert_eq!((read.shares, read.lendable, read.borrowing), (40, 25, None));
        let exempt = level(json!({"type": "Exempt"})).unwrap();
        assert_eq!(exempt.response, LimitResponse::Exempt);
        assert_eq!(exempt.shares, 0);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for bad in [
            json!({}),
            json!({"type": "Limited"}),
            json!({"type": "Limited", "limited": {}}),
            json!({"type": "Exempt", "limited": {}}),
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue"}}}),
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue",
                "queuing": {"queues": 2, "handSize": 3, "queueLengthLimit": 1}}}}),
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue",
                "queuing": {"queues": 1_000_000_000_000_u64, "handSize": 1, "queueLengthLimit": 1}}}}),
        ] {
            assert!(level(bad.clone()).is_err(), "{bad}");
        }
        assert!(FlowSchema::parse(b"{}").is_ok());
        assert!(FlowSchema::parse(b"garbage").is_err());
        let odd = br#"{"spec": {"rules": [{"subjects": [{"kind": "Robot"}]}]}}"#;
        assert!(FlowSchema::parse(odd).is_err());
    }
}
