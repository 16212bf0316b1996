//! Conversion between the versions of a website.
//!
//! What v1 says and v1alpha1 has no field for (the port on the nodes) goes along in an
//! annotation, so that nothing is lost when somebody reads a website in the old version and
//! writes it back.

use kube::core::Status;
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::v1::{Page, ServiceType, WebsiteService};
use crate::api::{GROUP, v1, v1alpha1};

/// Holds `spec.service.nodePort` of v1 in objects of v1alpha1.
pub const NODE_PORT: &str = "hardway.example/v1-node-port";

/// Why an object can't be converted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The group or version is none of ours.
    #[error("there is no version {0:?}")]
    Version(String),
    /// The spec can't be read.
    #[error("the spec is not one of {version}: {error}")]
    Spec {
        /// The version that it should be of.
        version: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// It is no object at all.
    #[error("not an object")]
    NotAnObject,
}

/// The versions of a website.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V1Alpha1,
}

impl Version {
    fn of(api_version: &str) -> Result<Self, Error> {
        match api_version.split_once('/') {
            Some((GROUP, "v1")) => Ok(Self::V1),
            Some((GROUP, "v1alpha1")) => Ok(Self::V1Alpha1),
            _ => Err(Error::Version(api_version.to_owned())),
        }
    }
}

/// Answers a review of the apiserver: all objects, in order, or why not.
pub fn answer(review: ConversionReview) -> ConversionReview {
    let request = match ConversionRequest::from_review(review) {
        Ok(request) => request,
        Err(error) => return failed(ConversionResponse::invalid, &error),
    };
    let desired = request.desired_api_version.clone();
    let objects = request.objects.iter();
    let converted: Result<Vec<Value>, Error> = objects
        .map(|object| convert(object.clone(), &desired))
        .collect();
    let response = ConversionResponse::for_request(request);
    match converted {
        Ok(objects) => response.success(objects).into_review(),
        Err(error) => failed(|status| response.failure(status), &error),
    }
}

fn failed(
    response: impl FnOnce(Status) -> ConversionResponse,
    error: &impl std::error::Error,
) -> ConversionReview {
    response(Status::failure(&error.to_string(), "BadRequest").with_code(400)).into_review()
}

/// The object in the version `desired` (`GROUP/VERSION`).
///
/// # Errors
/// If either version is unknown, or the object isn't what its version says.
pub fn convert(object: Value, desired: &str) -> Result<Value, Error> {
    let Value::Object(mut object) = object else {
        return Err(Error::NotAnObject);
    };
    let from = object.get("apiVersion").and_then(Value::as_str);
    let from = Version::of(from.unwrap_or_default())?;
    match (from, Version::of(desired)?) {
        (Version::V1Alpha1, Version::V1) => upgrade(&mut object)?,
        (Version::V1, Version::V1Alpha1) => downgrade(&mut object)?,
        _ => {}
    }
    object.insert("apiVersion".to_owned(), json!(desired));
    Ok(Value::Object(object))
}

fn upgrade(object: &mut Map<String, Value>) -> Result<(), Error> {
    let old: v1alpha1::WebsiteSpec = spec(object, "v1alpha1")?;
    let kept = remove_annotation(object, NODE_PORT).and_then(|port| port.parse().ok());
    let (type_, node_port) = match old.exposed {
        true => (ServiceType::NodePort, kept),
        false => (ServiceType::ClusterIP, None),
    };
    let pages = old.pages.into_iter();
    let new = v1::WebsiteSpec {
        replicas: old.replicas,
        pages: pages
            .map(|(name, content)| Page { name, content })
            .collect(),
        service: WebsiteService {
            type_,
            port: old.port,
            node_port,
        },
    };
    set_spec(object, &new, "v1")
}

fn downgrade(object: &mut Map<String, Value>) -> Result<(), Error> {
    let new: v1::WebsiteSpec = spec(object, "v1")?;
    let pages = new.pages.into_iter();
    let old = v1alpha1::WebsiteSpec {
        replicas: new.replicas,
        pages: pages.map(|page| (page.name, page.content)).collect(),
        port: new.service.port,
        exposed: new.service.type_ == ServiceType::NodePort,
    };
    if let Some(port) = new.service.node_port {
        set_annotation(object, NODE_PORT, &port.to_string());
    }
    set_spec(object, &old, "v1alpha1")
}

fn spec<T: DeserializeOwned>(object: &Map<String, Value>, version: &str) -> Result<T, Error> {
    let spec = object.get("spec").cloned().unwrap_or_else(|| json!({}));
    serde_json::from_value(spec).map_err(|error| Error::Spec {
        version: version.to_owned(),
        error,
    })
}

fn set_spec(
    object: &mut Map<String, Value>,
    spec: &impl Serialize,
    version: &str,
) -> Result<(), Error> {
    let spec = serde_json::to_value(spec).map_err(|error| Error::Spec {
        version: version.to_owned(),
        error,
    })?;
    object.insert("spec".to_owned(), spec);
    Ok(())
}

fn remove_annotation(object: &mut Map<String, Value>, name: &str) -> Option<String> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let removed = annotations.remove(name)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    removed.as_str().map(str::to_owned)
}

fn set_annotation(object: &mut Map<String, Value>, name: &str, value: &str) {
    let annotations = child(object, "metadata").and_then(|it| child(it, "annotations"));
    if let Some(annotations) = annotations {
        annotations.insert(name.to_owned(), json!(value));
    }
}

/// The object in this field, which is made if there is none.
fn child<'a>(parent: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    let child = parent.entry(name).or_insert_with(|| json!({}));
    child.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> Value {
        json!({
            "apiVersion": "hardway.example/v1", "kind": "Website",
            "metadata": {"name": "shop", "uid": "1", "annotations": {"mine": "yes"}},
            "spec": {
                "replicas": 2,
                "pages": [{"name": "a.html", "content": "A"}, {"name": "b.html", "content": "B"}],
                "service": {"type": "NodePort", "port": 8080, "nodePort": 30080},
            },
            "status": {"readyReplicas": 1},
        })
    }

    fn old() -> Value {
        json!({
            "apiVersion": "hardway.example/v1alpha1", "kind": "Website",
            "metadata": {"name": "shop", "uid": "1",
                         "annotations": {"mine": "yes", NODE_PORT: "30080"}},
            "spec": {"replicas": 2, "pages": {"a.html": "A", "b.html": "B"},
                     "port": 8080, "exposed": true},
            "status": {"readyReplicas": 1},
        })
    }

    #[test]
    fn nothing_is_lost_there_and_back() {
        assert_eq!(convert(new(), "hardway.example/v1alpha1").unwrap(), old());
        assert_eq!(convert(old(), "hardway.example/v1").unwrap(), new());
        assert_eq!(convert(new(), "hardway.example/v1").unwrap(), new());
    }

    #[test]
    fn what_the_schema_would_default_is_defaulted() {
        let bare = json!({"apiVersion": "hardway.example/v1alpha1", "kind": "Website",
                          "metadata": {"name": "bare"}});
        let converted = convert(bare, "hardway.example/v1").unwrap();
        let spec = json!({"replicas": 1, "pages": [],
                          "service": {"type": "ClusterIP", "port": 80}});
        assert_eq!(converted["spec"], spec);
    }

    /// The port on the nodes doesn't come back when the website was hidden meanwhile.
    #[test]
    fn a_hidden_website_has_no_port_on_the_nodes() {
        let mut hidden = old();
        hidden["spec"]["exposed"] = json!(false);
        let converted = convert(hidden, "hardway.example/v1").unwrap();
        let service = json!({"type": "ClusterIP", "port": 8080});
        assert_eq!(converted["spec"]["service"], service);
        assert_eq!(converted["metadata"]["annotations"], json!({"mine": "yes"}));
    }

    fn review(objects: &[Value], desired: &str) -> Value {
        let review = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "request": {"uid": "42", "desiredAPIVersion": desired, "objects": objects},
        });
        serde_json::to_value(answer(serde_json::from_value(review).unwrap())).unwrap()
    }

    #[test]
    fn reviews_are_answered_in_order_or_not_at_all() {
        let answered = review(&[new(), old()], "hardway.example/v1alpha1");
        let response = &answered["response"];
        assert_eq!(response["uid"], "42");
        assert_eq!(response["result"]["status"], "Success");
        assert_eq!(response["convertedObjects"], json!([old(), old()]));

        let mut broken = new();
        broken["spec"]["pages"] = json!(3);
        for (objects, desired) in [
            (vec![new(), broken], "hardway.example/v1alpha1"),
            (vec![new()], "hardway.example/v2"),
        ] {
            let response = review(&objects, desired)["response"].clone();
            assert_eq!(response["uid"], "42");
            assert_eq!(response["result"]["status"], "Failure");
            assert_eq!(response["convertedObjects"], json!([]));
        }
    }
}
