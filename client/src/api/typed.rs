//! The verbs on the objects of one kind.

use super::{DeleteParams, DynamicApi, Patch};
use hardway_proto::api;
use hardway_proto::kind::PartialObject;
use hardway_proto::{Kind, Status};
use serde_json::{Value, json};
use std::marker::PhantomData;

/// One kind's verbs, typed.
pub struct Api<K> {
    dynamic: DynamicApi,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self {
            dynamic: self.dynamic.clone(),
            kind: PhantomData,
        }
    }
}

fn parse<K: Kind>(object: &api::Object) -> Result<K, Status> {
    K::parse(&object.json).map_err(|e| {
        Status::internal(format!(
            "{} {:?}: the apiserver's answer can't be read: {e}",
            K::KIND,
            object.name
        ))
    })
}

impl Api<PartialObject> {
    /// The metadata of any resource's objects.
    pub fn metadata_of(dynamic: DynamicApi) -> Self {
        Self::over(dynamic)
    }
}

impl<K: Kind> Api<K> {
    /// Over the verbs on that kind's resource.
    pub(super) fn over(dynamic: DynamicApi) -> Self {
        Self {
            dynamic,
            kind: PhantomData,
        }
    }

    /// The same verbs over bytes.
    pub fn dynamic(&self) -> &DynamicApi {
        &self.dynamic
    }

    /// Reads one object, consistently.
    pub async fn get(&self, name: &str) -> Result<K, Status> {
        parse(&self.dynamic.get(name).await?)
    }

    /// Reads one object; `None` if it isn't there.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>, Status> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Creates an object.
    pub async fn create(&self, object: &K) -> Result<K, Status> {
        parse(
            &self
                .dynamic
                .create(object.name(), "", object.encode())
                .await?,
        )
    }

    /// Replaces an object; its resource version, if set, must be current.
    pub async fn update(&self, object: &K) -> Result<K, Status> {
        parse(
            &self
                .dynamic
                .update(object.name(), "", object.encode())
                .await?,
        )
    }

    /// Replaces its status.
    pub async fn update_status(&self, object: &K) -> Result<K, Status> {
        let json = object.encode();
        parse(&self.dynamic.update(object.name(), "status", json).await?)
    }

    /// Patches an object.
    pub async fn patch(&self, name: &str, patch: Patch<'_>) -> Result<K, Status> {
        parse(&self.dynamic.patch(name, "", patch).await?)
    }

    /// Patches its status.
    pub async fn patch_status(&self, name: &str, patch: Patch<'_>) -> Result<K, Status> {
        parse(&self.dynamic.patch(name, "status", patch).await?)
    }

    /// Deletes an object; an object that isn't there is `NotFound`.
    pub async fn delete(&self, name: &str, options: &DeleteParams) -> Result<(), Status> {
        self.dynamic.delete(name, options).await.map(|_| ())
    }
}

impl Api<k8s_openapi::api::core::v1::Pod> {
    /// Binds a pod to a node; `Conflict` if it is bound already.
    pub async fn bind(&self, name: &str, uid: &str, node: &str) -> Result<(), Status> {
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "uid": uid, "namespace": self.dynamic.namespace()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let body = body.to_string().into_bytes();
        self.dynamic.create(name, "binding", body).await.map(|_| ())
    }

    /// Evicts a pod; `TooManyRequests` if a disruption budget forbids it now.
    pub async fn evict(&self, name: &str, options: &DeleteParams) -> Result<(), Status> {
        let delete: Value = serde_json::from_slice(&options.to_json()).unwrap_or_default();
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.dynamic.namespace()},
            "deleteOptions": delete,
        });
        let body = body.to_string().into_bytes();
        self.dynamic
            .create(name, "eviction", body)
            .await
            .map(|_| ())
    }
}
