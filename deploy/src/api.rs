//! Just enough of a client of the apiserver for what a cluster is set up with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::http::{self, Answer, Identity, Lines};

/// Under this name the fields of what is applied are ours.
pub const MANAGER: &str = "hardway-up";

/// Just enough of a client of the apiserver.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    identity: Identity,
    /// What discovery says of each group and version.
    known: HashMap<String, Value>,
}

impl Api {
    /// A client of the apiserver at this address.
    pub fn new(address: SocketAddr, identity: Identity) -> Self {
        Self {
            address,
            identity,
            known: HashMap::new(),
        }
    }

    /// Where an object is.
    ///
    /// # Errors
    /// If its kind is unknown, or the apiserver can't be asked.
    pub fn path(&mut self, object: &Value) -> Result<String> {
        let group_version = text(&object["apiVersion"]);
        let root = match group_version.contains('/') {
            true => format!("/apis/{group_version}"),
            false => format!("/api/{group_version}"),
        };
        if !self.known.contains_key(&root) {
            let answer = http::get_tls(self.address, &root, &self.identity)?;
            let listed = read(&format!("GET {root}"), &answer)?;
            self.known.insert(root.clone(), listed);
        }
        path_in(&self.known[&root], &root, object)
    }

    /// The object at a path, if there is one.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn get(&self, path: &str) -> Result<Option<Value>> {
        let answer = http::get_tls(self.address, path, &self.identity)?;
        match answer.status {
            404 => Ok(None),
            _ => read(&format!("GET {path}"), &answer).map(Some),
        }
    }

    /// What the apiserver says line by line at a path, for as long as it does; between two lines
    /// no more than `silence` may pass.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn lines(&self, path: &str, silence: Duration) -> Result<Lines> {
        Lines::open(self.address, path, &self.identity, silence)
    }

    /// Makes an object say what this one says; returns what it is then.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        // JSON is YAML.
        let body = object.to_string();
        let request = http::Request {
            method: "PATCH",
            path: &format!("{path}?fieldManager={MANAGER}&force=true"),
            content_type: "application/apply-patch+yaml",
            body: body.as_bytes(),
        };
        let answer = http::send_tls(self.address, &request, &self.identity)?;
        read(&format!("apply {path}"), &answer)
    }

    /// Creates an object at the path of its kind.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let body = object.to_string();
        let request = http::Request {
            method: "POST",
            path,
            content_type: "application/json",
            body: body.as_bytes(),
        };
        let answer = http::send_tls(self.address, &request, &self.identity)?;
        read(&format!("create in {path}"), &answer)
    }

    /// Merges a patch into the object at a path; says whether there is one.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn patch(&self, path: &str, patch: &Value) -> Result<bool> {
        let body = patch.to_string();
        let request = http::Request {
            method: "PATCH",
            path: &format!("{path}?fieldManager={MANAGER}"),
            content_type: "application/merge-patch+json",
            body: body.as_bytes(),
        };
        let answer = http::send_tls(self.address, &request, &self.identity)?;
        match answer.status {
            404 => Ok(false),
            _ => read(&format!("patch {path}"), &answer).map(|_| true),
        }
    }

    /// Deletes the object at a path; says whether there was one.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn delete(&self, path: &str) -> Result<bool> {
        let request = http::Request {
            method: "DELETE",
            ..http::Request::get(path)
        };
        let answer = http::send_tls(self.address, &request, &self.identity)?;
        match answer.status {
            404 => Ok(false),
            _ => read(&format!("delete {path}"), &answer).map(|_| true),
        }
    }
}

/// The object in an answer, or the apiserver's own words why there is none.
///
/// # Errors
/// With these words.
pub fn read(what: &str, answer: &Answer) -> Result<Value> {
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if (200..300).contains(&answer.status) {
        return Ok(value);
    }
    let message = text(&value["message"]);
    Err(Failure::new(what, format!("{} {message}", answer.status)))
}

/// The path of an object, by what discovery lists.
fn path_in(listed: &Value, root: &str, object: &Value) -> Result<String> {
    let kind = text(&object["kind"]);
    let resource = listed["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|resource| resource["kind"] == kind && !text(&resource["name"]).contains('/'))
        .ok_or_else(|| Failure::new(format!("apply a {kind}"), format!("{root} has none")))?;
    let (plural, metadata) = (text(&resource["name"]), &object["metadata"]);
    let name = text(&metadata["name"]);
    Ok(match resource["namespaced"] == true {
        true => {
            let namespace = text(&metadata["namespace"]);
            format!("{root}/namespaces/{namespace}/{plural}/{name}")
        }
        false => format!("{root}/{plural}/{name}"),
    })
}

/// A text, empty where there is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str) -> Value {
        json!({"kind": kind, "metadata": {"name": name, "namespace": "kube-system"}})
    }

    #[test]
    fn discovery_tells_where_objects_are() {
        let listed = json!({"resources": [
            {"name": "deployments/scale", "kind": "Scale", "namespaced": true},
            {"name": "deployments", "kind": "Deployment", "namespaced": true},
        ]});
        let path = path_in(
            &listed,
            "/apis/apps/v1",
            &object("Deployment", "hardway-dns"),
        )
        .unwrap();
        assert_eq!(
            path,
            "/apis/apps/v1/namespaces/kube-system/deployments/hardway-dns"
        );
        assert!(path_in(&listed, "/apis/apps/v1", &object("Service", "kube-dns")).is_err());
    }
}
