//! Subresources that are verbs of their own: binding, eviction, scale, token,
//! approval, finalize, ephemeral containers.

use super::modify::{Part, Plan};
use super::update::carry_version;
use super::{Body, Object, Pipeline, Request, Target, Verb, decode, metadata};
use hardway_access::Operation;
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::scale;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Ephemeral containers come, but neither change nor go.
pub(super) fn only_added(new: &Value, old: &Value) -> Vec<Cause> {
    let list = |pod: &Value| pod["spec"]["ephemeralContainers"].as_array().cloned();
    let now = list(new).unwrap_or_default();
    let before = list(old).unwrap_or_default();
    before
        .iter()
        .filter(|one| !now.contains(one))
        .map(|one| {
            let name = &one["name"];
            let fate = match now.iter().any(|other| other["name"] == *name) {
                true => "changed",
                false => "removed",
            };
            Cause {
                reason: "FieldValueForbidden".into(),
                message: format!(
                    "Forbidden: existing ephemeral containers {name} may not be {fate}\n"
                ),
                field: "spec.ephemeralContainers".into(),
            }
        })
        .collect()
}

/// An object with a part of another: a field below spec or status, and the metadata that
/// may change with it.
pub(super) fn with_part(
    old: &Value,
    new: &Value,
    [outer, inner]: [&str; 2],
    kept: &[&str],
) -> Value {
    let mut object = old.clone();
    metadata::take_with_part(&mut object, new, kept);
    match new[outer].get(inner).filter(|value| !value.is_null()) {
        Some(value) => object[outer][inner] = value.clone(),
        None => drop(object[outer].as_object_mut().map(|map| map.remove(inner))),
    }
    carry_version(&mut object, new);
    object
}

/// What is sent to a pod's subresource must not name another pod.
pub(super) fn check_name(request: &Request, body: &Value, kind: &str) -> Result<(), Status> {
    let name = metadata::text(body, "name");
    match name.is_empty() || name == request.target.name {
        true => Ok(()),
        false => Err(Status::bad_request(format!(
            "name in URL does not match name in {kind} object"
        ))),
    }
}

impl Pipeline {
    /// The scale of an object.
    pub(super) fn as_scale(&self, target: &Target, object: &Object) -> Result<Object, Status> {
        let value: Value = serde_json::from_slice(&object.json)
            .map_err(|error| Status::internal(format!("{}: {error}", target.name)))?;
        scale::read(&target.resource, &value)
            .map(|scale| Object::of(&scale))
            .ok_or_else(Status::no_such_resource)
    }

    /// Replaces the scale: its replicas become the object's.
    pub(super) async fn update_scale(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        let (group, version) = scale::version(&target.resource);
        let body = self.body(request, group, version, "Scale")?;
        let replicas = &body["spec"]["replicas"];
        if replicas.as_i64().is_some_and(|count| count < 0) {
            return Err(Status::invalid(
                group,
                "Scale",
                &target.name,
                vec![Cause {
                    reason: "FieldValueInvalid".into(),
                    message: format!(
                        "Invalid value: {replicas}: must be greater than or equal to 0"
                    ),
                    field: "spec.replicas".into(),
                }],
            ));
        }
        let edit = |old: &Value| {
            let mut object = old.clone();
            scale::write(&target.resource, &mut object, &body);
            carry_version(&mut object, &body);
            Ok(object)
        };
        let object = self.special(request, Part::Main, &edit).await?;
        self.as_scale(target, &object)
    }

    /// Replaces the part of an object that a subresource is about.
    pub(super) async fn update_part(
        &self,
        request: &Request,
        part: [&str; 2],
    ) -> Result<Object, Status> {
        let body = decode::object(request)?;
        let kept = request.target.kept_metadata();
        let edit = |old: &Value| Ok(with_part(old, &body, part, kept));
        self.special(request, Part::Special, &edit).await
    }

    pub(super) async fn special(
        &self,
        request: &Request,
        part: Part,
        edit: &(dyn Fn(&Value) -> Result<Value, Status> + Send + Sync),
    ) -> Result<Object, Status> {
        let plan = Plan {
            part,
            edit,
            applied: false,
        };
        let object = self.modify(request, plan).await?;
        object.ok_or_else(|| request.target.not_found())
    }

    /// The body as a kind that isn't the target's.
    pub(super) fn body(
        &self,
        request: &Request,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Value, Status> {
        let api_version = hardway_resources::resource::api_version(group, version);
        if let Some(row) = self.registry.lookup_kind(group, version, kind)
            && let Some(row) = row.version(version)
        {
            return decode::typed(request, &row.schema, &api_version, kind);
        }
        let json = match &request.body {
            Body::Value(value) => return Ok(value.clone()),
            Body::Yaml(bytes) => decode::yaml_to_json(bytes, kind)?,
            Body::Json(bytes) | Body::Patch(_, bytes) => bytes.to_vec(),
            Body::Empty => b"{}".to_vec(),
        };
        let mut value: Value = serde_json::from_slice(&json)
            .map_err(|error| Status::bad_request(format!("the body is no {kind}: {error}")))?;
        decode::identify(&mut value, &api_version, kind)?;
        Ok(value)
    }

    /// Creates through a subresource.
    pub(super) async fn create_subresource(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        match (target.plural(), target.subresource.as_str()) {
            ("pods", "binding") => self.bind(request).await,
            ("pods", "eviction") => self.evict(request).await,
            ("deployments", "rollback") => self.roll_back(request).await,
            ("serviceaccounts", "token") => {
                let body = self.body(request, "authentication.k8s.io", "v1", "TokenRequest")?;
                let tokens = self.tokens.as_ref().ok_or_else(|| {
                    Status::failure(404, "NotFound", "this server has no key to sign tokens with; start it with --service-account-signing-key-file")
                })?;
                self.cache.fresh().await?;
                let review = super::write::review(request, target, Operation::Create);
                self.admission.validate(&review, Some(&body), None)?;
                let answer = tokens.create(&*self.cache, &target.namespace, &target.name, &body)?;
                Ok(Object::of(&answer).created())
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Asks the Deployment's controller for an earlier revision, as versions
    /// do that have `spec.rollbackTo`.
    async fn roll_back(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        let (group, version) = (target.group(), target.version.as_str());
        let body = self.body(request, group, version, "DeploymentRollback")?;
        let name = body["name"].as_str().unwrap_or_default();
        let revision = body["rollbackTo"]["revision"].as_i64().unwrap_or_default();
        let refuse = |reason: &str, message: &str, field: &str| {
            let cause = Cause {
                reason: reason.into(),
                message: message.into(),
                field: field.into(),
            };
            Status::invalid(group, "DeploymentRollback", name, vec![cause])
        };
        if name.is_empty() {
            let message = "Required value: name is required";
            return Err(refuse("FieldValueRequired", message, "name"));
        }
        if revision < 0 {
            let message = format!("Invalid value: {revision}: must be greater than or equal to 0");
            return Err(refuse("FieldValueInvalid", &message, "rollback.version"));
        }
        if name != target.name {
            return Err(Status::bad_request(
                "name in URL does not match name in DeploymentRollback object",
            ));
        }
        let edit = |old: &Value| {
            let mut object = old.clone();
            metadata::of(&mut object).remove("resourceVersion");
            object["spec"]["rollbackTo"] = json!({"revision": revision});
            for (key, value) in body["updatedAnnotations"].as_object().into_iter().flatten() {
                object["metadata"]["annotations"][key] = value.clone();
            }
            Ok(object)
        };
        self.special(request, Part::Special, &edit).await?;
        let mut status = Status::success();
        status.message = format!("rollback request for deployment {name:?} succeeded");
        status.code = 200;
        Ok(Object::of(
            &serde_json::to_value(status).unwrap_or_default(),
        ))
    }

    /// Binds a pod to a node.
    pub(super) async fn bind(&self, request: &Request) -> Result<Object, Status> {
        let body = self.body(request, "", "v1", "Binding")?;
        check_name(request, &body, "Binding")?;
        let node = body["target"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let kind = body["target"]["kind"].as_str().unwrap_or_default();
        if node.is_empty() || !matches!(kind, "" | "Node") {
            let (field, message) = match node.is_empty() {
                true => ("target.name", "Required value"),
                false => (
                    "target.kind",
                    "Unsupported value: supported values: \"Node\"",
                ),
            };
            return Err(Status::invalid(
                "",
                "Binding",
                &request.target.name,
                vec![Cause {
                    reason: "FieldValueRequired".into(),
                    message: message.into(),
                    field: field.into(),
                }],
            ));
        }
        let pod = Request {
            user: request.user.clone(),
            verb: Verb::Update,
            target: Target {
                resource: self
                    .registry
                    .resource("", "pods")
                    .ok_or_else(Status::no_such_resource)?,
                subresource: "binding".into(),
                ..request.target.clone()
            },
            options: request.options.clone(),
            body: Body::Empty,
            agent: request.agent.clone(),
            warnings: Default::default(),
            classified: Default::default(),
            burden: request.burden.clone(),
        };
        let edit = |old: &Value| bound(old, &node, &body);
        self.special(&pod, Part::Special, &edit).await?;
        let mut status = Status::success();
        status.code = 201;
        let value = serde_json::to_value(status).unwrap_or_default();
        Ok(Object::of(&value).created())
    }
}

/// The pod, bound to a node.
fn bound(old: &Value, node: &str, binding: &Value) -> Result<Value, Status> {
    let name = metadata::text(old, "name");
    let refuse = |why: String| Err(Status::conflict("", "pods/binding", name, &why));
    if metadata::is_terminating(old) {
        return refuse(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    if let Some(other) = old["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
        return refuse(format!("pod {name} is already assigned to node {other:?}"));
    }
    let uid = metadata::text(binding, "uid");
    if !uid.is_empty() && uid != metadata::text(old, "uid") {
        return refuse(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            metadata::text(old, "uid")
        ));
    }
    let mut pod = old.clone();
    metadata::of(&mut pod).remove("resourceVersion");
    pod["spec"]["nodeName"] = node.into();
    for (key, value) in binding["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
    {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    let scheduled = json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": metadata::time(Timestamp::now()),
    });
    let mut conditions = old["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(scheduled);
    pod["status"]["conditions"] = conditions.into();
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_bound_once() {
        let pod = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {}});
        let bound_pod = bound(&pod, "n1", &json!({})).unwrap();
        assert_eq!(bound_pod["spec"]["nodeName"], "n1");
        assert_eq!(bound_pod["status"]["conditions"][0]["type"], "PodScheduled");
        let status = bound(&bound_pod, "n2", &json!({})).unwrap_err();
        assert_eq!(
            status.message,
            "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n1\""
        );
    }
}
