//! What a request asks for, by its method and path.

use super::path::ResourcePath;
use crate::pipeline::{Verb, pairs};
use hardway_access::{Attributes, User};
use hardway_proto::Status;
use http::Method;
use hyper::body::Incoming;

/// What is asked for.
pub(super) struct Asked {
    /// As RBAC names it; the method's name where there is no resource.
    pub verb: String,
    pub resource: Option<ResourcePath>,
}

impl Asked {
    /// What a request to a path asks for: nothing with a resource if the path is that of none.
    pub fn of(request: &http::Request<Incoming>, resource: Option<ResourcePath>) -> Self {
        let (method, query) = (request.method(), request.uri().query().unwrap_or_default());
        let verb = match resource.as_ref().map(|of| verb(method, query, of)) {
            Some(Ok(verb)) => verb.as_str().to_owned(),
            _ => method.as_str().to_ascii_lowercase(),
        };
        Self { verb, resource }
    }
}

/// The same, as it is authorized and noted.
pub(super) fn attributes<'a>(
    user: &'a User,
    verb: &'a str,
    path: &'a str,
    resource: Option<&'a ResourcePath>,
) -> Attributes<'a> {
    match resource {
        None => Attributes::path(user, verb, path),
        Some(of) => Attributes {
            user,
            verb,
            group: &of.group,
            version: &of.version,
            resource: &of.resource,
            subresource: &of.subresource,
            namespace: &of.namespace,
            name: &of.name,
            fields: None,
            path: "",
            is_resource: true,
        },
    }
}

/// What a method means here.
///
/// # Errors
/// 405, if nothing.
pub(super) fn verb(method: &Method, query: &str, path: &ResourcePath) -> Result<Verb, Status> {
    let watching = path.watch
        || pairs(query).any(|(name, value)| {
            name == "watch" && !matches!(value.as_str(), "false" | "0" | "False")
        });
    Ok(match (method, path.name.is_empty()) {
        (&Method::GET | &Method::HEAD, _) if watching && path.subresource.is_empty() => Verb::Watch,
        (&Method::GET | &Method::HEAD, true) => Verb::List,
        (&Method::GET | &Method::HEAD, false) => Verb::Get,
        (&Method::POST, true) => Verb::Create,
        (&Method::POST, false) if !path.subresource.is_empty() => Verb::Create,
        (&Method::PUT, false) => Verb::Update,
        (&Method::PATCH, false) => Verb::Patch,
        (&Method::DELETE, false) => Verb::Delete,
        (&Method::DELETE, true) => Verb::DeleteCollection,
        _ => return Err(Status::method_not_allowed()),
    })
}
