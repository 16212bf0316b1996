//! What both protocols make of what they are asked.

use bytes::Bytes;
use hardway_access::admission::AuditAnnotation;
use hardway_access::{Attributes, User};
use hardway_client::serving::ConnectionLoad;
use hardway_proto::Status;
use hardway_resources::rows::{Handler, Stream};
use hardway_resources::{Resource, Schema};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::cache::{Entry, join};
use crate::fairness::Classified;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// As RBAC and discovery name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether nothing is changed by it.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// What a request is about.
#[derive(Clone)]
pub struct Target {
    /// The resource's row.
    pub resource: Arc<Resource>,
    /// The version asked for; one of the row's.
    pub version: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name, or empty.
    pub name: String,
    /// Subresource, or empty.
    pub subresource: String,
}

impl Target {
    /// API group.
    pub fn group(&self) -> &str {
        &self.resource.group
    }

    /// Plural resource name.
    pub fn plural(&self) -> &str {
        &self.resource.plural
    }

    /// The schema of the version asked for.
    pub fn schema(&self) -> &Schema {
        let versions = &self.resource.versions;
        let named = versions.iter().find(|version| version.name == self.version);
        &named.unwrap_or(&versions[0]).schema
    }

    /// `group/version`.
    pub fn api_version(&self) -> String {
        self.resource.api_version(&self.version)
    }

    /// What the subresource is, if the target is one.
    pub fn handler(&self) -> Option<Handler> {
        let subresource = self
            .resource
            .subresource(&self.version, &self.subresource)?;
        Some(subresource.handler)
    }

    /// Whether the object has a status that only its subresource can write.
    pub fn has_status(&self) -> bool {
        self.resource.rules.has_status()
            && self.resource.subresource(&self.version, "status").is_some()
    }

    /// The fields of metadata that a write of the subresource leaves as they are.
    pub fn kept_metadata(&self) -> &'static [&'static str] {
        let subresource = self.resource.subresource(&self.version, &self.subresource);
        subresource.map_or(&[], |subresource| subresource.keeps)
    }

    /// Whether answers may be asked for as a Table: what is only asked, and the actions
    /// that subresources are, have none (`rest.TableConvertor` in Kubernetes).
    pub fn has_table(&self) -> bool {
        match self.handler() {
            None => self.resource.verbs != ["create"],
            Some(handler) => matches!(handler, Handler::Part(_)),
        }
    }

    /// Whether clients are connected to somebody else, who answers in whatever form there
    /// is (`rest.Connecter` in Kubernetes).
    pub fn connects(&self) -> bool {
        matches!(self.handler(), Some(Handler::Stream(stream)) if stream != Stream::Log)
    }

    /// The object's key in the cache.
    pub fn key(&self) -> String {
        join(&self.namespace, &self.name)
    }

    /// The object's key in the store.
    pub fn store_key(&self) -> String {
        format!("{}/{}", self.resource.storage_prefix, self.key())
    }

    /// The path that REST has for it.
    pub fn path(&self) -> String {
        let mut path = match self.group() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if !self.namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&self.namespace);
        }
        for part in [self.plural(), &self.name, &self.subresource] {
            if !part.is_empty() {
                path.push('/');
                path.push_str(part);
            }
        }
        path
    }

    /// The same for another object of the resource.
    pub fn named(&self, namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            ..self.clone()
        }
    }

    /// Refuses names that can be none, for they would be other paths.
    pub fn check_names(&self) -> Result<(), Status> {
        check_segment("Name", &self.name)?;
        check_segment("Namespace", &self.namespace)
    }

    /// Refuses what no path with this verb could name. Both protocols ask this,
    /// since a call can say what a path can't.
    pub fn check_verb(&self, verb: Verb) -> Result<(), Status> {
        self.check_names()?;
        let named = !self.name.is_empty();
        let wants_name = match verb {
            Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => true,
            Verb::List | Verb::DeleteCollection => false,
            Verb::Create if !self.subresource.is_empty() => true,
            // A call may name what it creates: that is then its name.
            Verb::Create | Verb::Watch => named,
        };
        if wants_name != named {
            return Err(Status::method_not_allowed());
        }
        match (self.resource.namespaced(), self.namespace.is_empty()) {
            (true, false) | (false, true) => Ok(()),
            (false, false) => Err(Status::no_such_resource()),
            (true, true) => self.check_in_all_namespaces(verb),
        }
    }

    /// What can be asked of a namespaced resource without a namespace.
    fn check_in_all_namespaces(&self, verb: Verb) -> Result<(), Status> {
        let is_review = self.resource.verbs == ["create"] && self.plural() != "bindings";
        match verb {
            Verb::List | Verb::Watch => Ok(()),
            Verb::Create if is_review => Ok(()),
            Verb::Create if self.subresource.is_empty() => Err(Status::bad_request(
                "an empty namespace may not be set during creation",
            )),
            Verb::DeleteCollection => Err(Status::method_not_allowed()),
            _ => Err(Status::no_such_resource()),
        }
    }

    /// 404 for the object.
    pub fn not_found(&self) -> Status {
        Status::not_found(self.group(), self.plural(), &self.name)
    }

    /// 409: it changed meanwhile.
    pub fn stale(&self) -> Status {
        Status::stale(self.group(), self.plural(), &self.name)
    }

    /// 409 for another reason.
    pub fn conflict(&self, why: &str) -> Status {
        Status::conflict(self.group(), self.plural(), &self.name, why)
    }

    /// 409: there is one already.
    pub fn already_exists(&self) -> Status {
        Status::already_exists(self.group(), self.plural(), &self.name)
    }

    /// 422 with these causes, or nothing if there are none.
    pub fn check(&self, causes: Vec<hardway_proto::status::Cause>) -> Result<(), Status> {
        if causes.is_empty() {
            return Ok(());
        }
        Err(Status::invalid(
            self.group(),
            &self.resource.kind,
            &self.name,
            causes,
        ))
    }

    /// What authorization is asked.
    pub fn attributes<'a>(&'a self, user: &'a User, verb: &'a str) -> Attributes<'a> {
        Attributes {
            user,
            verb,
            group: self.group(),
            version: &self.version,
            resource: self.plural(),
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            fields: None,
            path: "",
            is_resource: true,
        }
    }
}

/// Refuses what can be no part of a path.
fn check_segment(what: &str, text: &str) -> Result<(), Status> {
    let why = match text {
        "." => "may not be '.'",
        ".." => "may not be '..'",
        _ if text.contains('/') => "may not contain '/'",
        _ if text.contains('%') => "may not contain '%'",
        _ => return Ok(()),
    };
    Err(Status::bad_request(format!(
        "{what} parameter invalid: {text:?}: {why}"
    )))
}

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// An object in JSON.
    Json(Bytes),
    /// An object in YAML.
    Yaml(Bytes),
    /// A patch (in YAML or JSON for apply, JSON for the others).
    Patch(PatchKind, Bytes),
    /// An object made inside.
    Value(Value),
}

/// One request, whichever protocol it came by.
pub struct Request {
    /// Who asks.
    pub user: User,
    /// What is to be done.
    pub verb: Verb,
    /// With what.
    pub target: Target,
    /// How.
    pub options: super::Options,
    /// What is sent along.
    pub body: Body,
    /// The client program, for naming field managers.
    pub agent: String,
    /// To be sent as `Warning:` headers.
    pub warnings: Mutex<Vec<String>>,
    /// What admission has to tell the audit log.
    pub annotations: Mutex<Vec<AuditAnnotation>>,
    /// When it began.
    pub begun: Instant,
    /// When it must be done, if it isn't a write, which [has less time](Self::done_by).
    pub deadline: Instant,
    /// Where it belongs, once that is known: to be sent as headers, too.
    pub classified: OnceLock<Classified>,
    /// Whether much is asked for on the connection that it came on.
    pub load: Arc<ConnectionLoad>,
    /// What it has come to know of objects in other versions.
    pub versions: super::Versions,
    /// What has become of it so far.
    pub story: super::Story,
}

/// How long a write may take (`requestTimeoutUpperBound` of `k8s.io/apiserver`,
/// `pkg/endpoints/handlers`).
const TIME_TO_WRITE: Duration = Duration::from_secs(34);
/// So many characters of warnings are sent with one answer
/// (`k8s.io/apiserver`, `pkg/endpoints/filters/warning.go`) …
const MOST_WARNED: usize = 4096;
/// … and so many of one that is cut.
const LONGEST_CUT: usize = 256;

impl Request {
    /// A request that begins now, without options or body.
    pub fn new(user: User, verb: Verb, target: Target) -> Self {
        let now = Instant::now();
        Self {
            user,
            verb,
            target,
            options: super::Options::default(),
            body: Body::Empty,
            agent: String::new(),
            warnings: Mutex::default(),
            annotations: Mutex::default(),
            begun: now,
            deadline: now + super::TIMEOUT,
            classified: OnceLock::new(),
            load: Arc::default(),
            versions: super::Versions::default(),
            story: super::Story::default(),
        }
    }

    /// A request of the apiserver itself.
    pub fn internal(verb: Verb, target: Target, body: Body) -> Self {
        Self {
            body,
            agent: "hardway-apiserver".into(),
            ..Self::new(
                User::new("system:apiserver", [hardway_access::MASTERS]),
                verb,
                target,
            )
        }
    }

    /// Another request that this one comes down to, by the same sender and in the same time.
    pub fn with(&self, verb: Verb, target: Target) -> Self {
        Self {
            agent: self.agent.clone(),
            begun: self.begun,
            deadline: self.deadline,
            load: self.load.clone(),
            story: self.story.clone(),
            ..Self::new(self.user.clone(), verb, target)
        }
    }

    /// When it must be done. Of many deletions each is a write, all together are none.
    pub fn done_by(&self) -> Instant {
        match self.verb.is_read() || self.verb == Verb::DeleteCollection {
            true => self.deadline,
            false => self.deadline.min(self.begun + TIME_TO_WRITE),
        }
    }

    /// Takes over what another one has to tell.
    pub fn tell_of(&self, other: &Self) {
        for warning in other.warnings.lock().drain(..) {
            self.warn(warning);
        }
        let mut annotations = self.annotations.lock();
        annotations.append(&mut other.annotations.lock());
    }

    /// Adds a warning. They are headers, of which clients take only so much: past
    /// [`MOST_WARNED`] texts are cut to [`LONGEST_CUT`], and at last left out.
    pub fn warn(&self, text: impl Into<String>) {
        let mut text = text.into();
        let mut warnings = self.warnings.lock();
        if warnings.contains(&text) {
            return;
        }
        let told: usize = warnings.iter().map(|told| told.chars().count()).sum();
        let left = MOST_WARNED.saturating_sub(told);
        if text.chars().count() > left {
            text = text.chars().take(LONGEST_CUT).collect();
        }
        if text.chars().count() <= left {
            warnings.push(text);
        }
    }

    /// The name under which fields are owned: what the client asks for, or
    /// the first part of its user agent.
    pub fn manager(&self) -> String {
        let asked = &self.options.field_manager;
        let name = match asked.is_empty() {
            false => asked.as_str(),
            true => self.agent.split('/').next().unwrap_or_default(),
        };
        let name: String = name.chars().filter(|c| !c.is_control()).take(128).collect();
        match name.is_empty() {
            true => "unknown".into(),
            false => name,
        }
    }
}

/// One object as an answer.
#[derive(Clone, Debug)]
pub struct Object {
    /// The final JSON.
    pub json: Bytes,
    /// Whether it was created: 201.
    pub created: bool,
    /// The cached object whose bytes these are, if they are any's.
    pub cached: Option<Arc<Entry>>,
}

impl Object {
    /// An object made on the spot.
    pub fn of(value: &Value) -> Self {
        Self {
            json: crate::pipeline::present::to_bytes(value),
            created: false,
            cached: None,
        }
    }

    /// The same, told as created.
    pub fn created(self) -> Self {
        Self {
            created: true,
            ..self
        }
    }
}

/// What a request is answered with.
pub enum Answer {
    /// An object (or a review, or a Status of success).
    Object(Object),
    /// A list.
    List(super::Listing),
    /// A watch.
    Watch(Box<super::Watch>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_segments() {
        assert!(check_segment("Name", "").is_ok() && check_segment("Name", "system:node").is_ok());
        for (name, why) in [
            ("..", r#"Name parameter invalid: "..": may not be '..'"#),
            (
                "a/b",
                r#"Name parameter invalid: "a/b": may not contain '/'"#,
            ),
        ] {
            assert_eq!(check_segment("Name", name).unwrap_err().message, why);
        }
    }
}
