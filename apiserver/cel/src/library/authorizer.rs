//! What a requester may do: `authorizer.group("apps").resource("deployments").check("get")`.
//! Kubernetes' `k8s.io/apiserver/pkg/cel/library/authz.go`.
//!
//! Every environment has the functions; who has an [`authorizer`] to call them on binds it
//! to a variable of the type [`AUTHORIZER`].

use super::costs::{size, size_of};
use crate::cost::{CostRange, SizeRange};
use crate::value::Opaque;
use crate::{Call, Error, Overload, Type, Value};
use hardway_proto::names::{is_dns1123_label, is_dns1123_subdomain};
use std::fmt::Debug;
use std::sync::Arc;

/// The type of `authorizer`.
pub const AUTHORIZER: Type = Type::Opaque("kubernetes.authorization.Authorizer");
const PATH_CHECK: Type = Type::Opaque("kubernetes.authorization.PathCheck");
const GROUP_CHECK: Type = Type::Opaque("kubernetes.authorization.GroupCheck");
/// The type of `authorizer.requestResource`.
pub const RESOURCE_CHECK: Type = Type::Opaque("kubernetes.authorization.ResourceCheck");
const DECISION: Type = Type::Opaque("kubernetes.authorization.Decision");

/// Who decides on the checks of expressions, for one request.
pub trait Authorize: Debug + Send + Sync + 'static {
    /// Whether somebody may do something.
    fn authorize(&self, subject: &Subject, verb: &str, on: &Target) -> Decision;
}

/// Whose rights are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Who sent the request.
    Requester,
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What is to be done something with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A path that is no resource, such as `/healthz`.
    Path(String),
    /// A resource, of whichever version.
    Resource(Resource),
}

/// A resource; what is empty isn't given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The API group, empty for the core group.
    pub group: String,
    /// The plural name.
    pub resource: String,
    /// A part of it, such as `status`.
    pub subresource: String,
    /// Empty for the whole cluster.
    pub namespace: String,
    /// The name of one object.
    pub name: String,
    /// As it was written; one that can't be read limits nothing.
    pub field_selector: String,
    /// As it was written; one that can't be read limits nothing.
    pub label_selector: String,
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, if there is anything to say.
    pub reason: String,
    /// What went wrong, if it couldn't be decided.
    pub error: Option<String>,
}

/// The value of `authorizer`.
pub fn authorizer(authorize: Arc<dyn Authorize>) -> Value<'static> {
    Value::opaque(Authorizer {
        authorize,
        subject: Subject::Requester,
    })
}

/// The value of `authorizer.requestResource`: the check of what the request is about.
pub fn request_resource(authorize: Arc<dyn Authorize>, resource: Resource) -> Value<'static> {
    Value::opaque(ResourceCheck {
        authorizer: Authorizer {
            authorize,
            subject: Subject::Requester,
        },
        resource,
    })
}

#[derive(Clone, Debug)]
struct Authorizer {
    authorize: Arc<dyn Authorize>,
    subject: Subject,
}

impl PartialEq for Authorizer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.authorize, &other.authorize) && self.subject == other.subject
    }
}

#[derive(Debug, PartialEq)]
struct PathCheck {
    authorizer: Authorizer,
    path: String,
}

#[derive(Debug, PartialEq)]
struct GroupCheck {
    authorizer: Authorizer,
    group: String,
}

#[derive(Clone, Debug, PartialEq)]
struct ResourceCheck {
    authorizer: Authorizer,
    resource: Resource,
}

/// Values that are equal if all of their parts are.
macro_rules! opaque {
    ($($value:ident: $kind:ident),*) => {$(
        impl Opaque for $value {
            fn type_of(&self) -> Type {
                $kind
            }

            fn equals(&self, other: &dyn Opaque) -> bool {
                other.downcast::<$value>().is_some_and(|other| self == other)
            }
        }
    )*};
}

opaque!(
    Authorizer: AUTHORIZER,
    PathCheck: PATH_CHECK,
    GroupCheck: GROUP_CHECK,
    ResourceCheck: RESOURCE_CHECK,
    Decision: DECISION
);

pub(super) fn overloads() -> Vec<Overload> {
    let narrower = |name, id, call: Call| {
        Overload::member(
            name,
            id,
            [RESOURCE_CHECK, Type::String],
            RESOURCE_CHECK,
            call,
        )
    };
    let selector = |name, id, call| {
        narrower(name, id, call).costs(
            |args, _| cost_of_selector(SizeRange::fixed(size(args, 1))).max,
            |operands| cost_of_selector(size_of(operands, 1)).into(),
        )
    };
    let check = |id, kind, call: Call| {
        Overload::member("check", id, [kind, Type::String], DECISION, call)
            .costs(|_, _| CHECK, |_| CostRange::fixed(CHECK).into())
    };
    let told = |name, id, kind, call: Call| Overload::member(name, id, [DECISION], kind, call);
    vec![
        Overload::member(
            "path",
            "authorizer_path",
            [AUTHORIZER, Type::String],
            PATH_CHECK,
            path,
        ),
        Overload::member(
            "group",
            "authorizer_group",
            [AUTHORIZER, Type::String],
            GROUP_CHECK,
            group,
        ),
        Overload::member(
            "serviceAccount",
            "authorizer_serviceaccount",
            [AUTHORIZER, Type::String, Type::String],
            AUTHORIZER,
            service_account,
        ),
        Overload::member(
            "resource",
            "groupcheck_resource",
            [GROUP_CHECK, Type::String],
            RESOURCE_CHECK,
            resource,
        ),
        narrower("subresource", "resourcecheck_subresource", |args| {
            narrowed(args, |resource, to| resource.subresource = to)
        }),
        narrower("namespace", "resourcecheck_namespace", |args| {
            narrowed(args, |resource, to| resource.namespace = to)
        }),
        narrower("name", "resourcecheck_name", |args| {
            narrowed(args, |resource, to| resource.name = to)
        }),
        selector("fieldSelector", "authorizer_fieldselector", |args| {
            narrowed(args, |resource, to| resource.field_selector = to)
        }),
        selector("labelSelector", "authorizer_labelselector", |args| {
            narrowed(args, |resource, to| resource.label_selector = to)
        }),
        check("pathcheck_check", PATH_CHECK, check_path),
        check("resourcecheck_check", RESOURCE_CHECK, check_resource),
        told("allowed", "decision_allowed", Type::Bool, |args| {
            Ok(receiver::<Decision>(args)?.allowed.into())
        }),
        told("reason", "decision_reason", Type::String, |args| {
            Ok(Value::string(receiver::<Decision>(args)?.reason.clone()))
        }),
        told("errored", "decision_errored", Type::Bool, |args| {
            Ok(receiver::<Decision>(args)?.error.is_some().into())
        }),
        told("error", "decision_error", Type::String, |args| {
            let error = receiver::<Decision>(args)?.error.clone();
            Ok(Value::string(error.unwrap_or_default()))
        }),
    ]
}

/// What a check costs, so that an expression has two of them.
const CHECK: u64 = 350_000;

/// A selector is read, and at most every second character begins a requirement, which is a
/// list in an object.
fn cost_of_selector(length: SizeRange) -> CostRange {
    const LIST: u64 = 10;
    const OBJECT: u64 = 40;
    let requirements = length.scaled(0.5).scaled((LIST + OBJECT) as f64);
    CostRange::fixed(LIST)
        .plus(length.scaled(super::costs::TRAVERSAL))
        .plus(requirements)
}

fn receiver<'v, T: Opaque>(args: &'v [Value]) -> Result<&'v T, Error> {
    let receiver = args.first().and_then(|value| value.downcast());
    receiver.ok_or(Error::NoSuchOverload)
}

/// An argument that is a text.
fn text(args: &[Value], index: usize) -> Result<String, Error> {
    let text = args.get(index).and_then(Value::as_str);
    text.map(str::to_owned).ok_or(Error::NoSuchOverload)
}

fn path<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let path = text(args, 1)?;
    if path.trim().is_empty() {
        return Err(Error::function("path must not be empty"));
    }
    let authorizer = receiver::<Authorizer>(args)?.clone();
    Ok(Value::opaque(PathCheck { authorizer, path }))
}

fn group<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let authorizer = receiver::<Authorizer>(args)?.clone();
    let group = text(args, 1)?;
    Ok(Value::opaque(GroupCheck { authorizer, group }))
}

fn service_account<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let authorize = receiver::<Authorizer>(args)?.authorize.clone();
    let (namespace, name) = (text(args, 1)?, text(args, 2)?);
    if !is_dns1123_subdomain(&name).is_empty() {
        return Err(Error::function("Invalid service account name"));
    }
    if !is_dns1123_label(&namespace).is_empty() {
        return Err(Error::function("Invalid service account namespace"));
    }
    let subject = Subject::ServiceAccount { namespace, name };
    Ok(Value::opaque(Authorizer { authorize, subject }))
}

fn resource<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let check = receiver::<GroupCheck>(args)?;
    let resource = text(args, 1)?;
    if resource.trim().is_empty() {
        return Err(Error::function("resource must not be empty"));
    }
    Ok(Value::opaque(ResourceCheck {
        authorizer: check.authorizer.clone(),
        resource: Resource {
            group: check.group.clone(),
            resource,
            ..Resource::default()
        },
    }))
}

fn narrowed<'a>(args: &[Value<'a>], narrow: fn(&mut Resource, String)) -> Result<Value<'a>, Error> {
    let mut check = receiver::<ResourceCheck>(args)?.clone();
    narrow(&mut check.resource, text(args, 1)?);
    Ok(Value::opaque(check))
}

fn check_path<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let check = receiver::<PathCheck>(args)?;
    decide(&check.authorizer, args, &Target::Path(check.path.clone()))
}

fn check_resource<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let check = receiver::<ResourceCheck>(args)?;
    let target = Target::Resource(check.resource.clone());
    decide(&check.authorizer, args, &target)
}

fn decide<'a>(
    authorizer: &Authorizer,
    args: &[Value<'a>],
    target: &Target,
) -> Result<Value<'a>, Error> {
    let verb = text(args, 1)?;
    let decision = authorizer
        .authorize
        .authorize(&authorizer.subject, &verb, target);
    Ok(Value::opaque(decision))
}
