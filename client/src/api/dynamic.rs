//! The verbs on any resource, over bytes.

use super::{Client, DeleteParams, Patch, Target, WatchParams};
use futures_util::{Stream, StreamExt};
use hardway_proto::Status;
use hardway_proto::api;
use std::pin::pin;

/// A page of a list, or all of it.
#[derive(Clone, Debug, Default)]
pub struct ObjectList<T> {
    /// The objects.
    pub items: Vec<T>,
    /// Revision of the list.
    pub resource_version: i64,
    /// Token of the next page; empty on the last one.
    pub r#continue: String,
}

/// One resource's verbs over raw JSON.
#[derive(Clone)]
pub struct DynamicApi {
    client: Client,
    target: Target,
}

impl DynamicApi {
    pub(super) fn new(client: Client, target: Target) -> Self {
        Self { client, target }
    }

    /// The namespace that it is about; empty for all of them.
    pub(super) fn namespace(&self) -> &str {
        &self.target.namespace
    }

    fn target(&self, name: &str, subresource: &str) -> Option<Target> {
        Some(Target {
            name: name.into(),
            subresource: subresource.into(),
            ..self.target.clone()
        })
    }

    /// The resource's full name: `services`, `deployments.apps`.
    pub fn resource(&self) -> String {
        match self.target.group.as_str() {
            "" => self.target.resource.clone(),
            group => format!("{}.{group}", self.target.resource),
        }
    }

    fn options(&self) -> Option<api::WriteOptions> {
        Some(api::WriteOptions {
            field_manager: self.client.field_manager.clone(),
            ..Default::default()
        })
    }

    /// Reads one object, consistently.
    pub async fn get(&self, name: &str) -> Result<api::Object, Status> {
        let request = api::GetRequest {
            target: self.target(name, ""),
            resource_version: String::new(),
        };
        Ok(self.client.rpc().get(request).await?.into_inner())
    }

    /// Reads a subresource of one object, such as its `scale`.
    pub async fn get_subresource(
        &self,
        name: &str,
        subresource: &str,
    ) -> Result<api::Object, Status> {
        let request = api::GetRequest {
            target: self.target(name, subresource),
            resource_version: String::new(),
        };
        Ok(self.client.rpc().get(request).await?.into_inner())
    }

    /// Lists objects that match the selectors; empty selectors match all.
    pub async fn list(
        &self,
        labels: &str,
        fields: &str,
    ) -> Result<ObjectList<api::Object>, Status> {
        let mut pages = pin!(self.pages(labels, fields).await?);
        let mut list = ObjectList::default();
        while let Some(page) = pages.next().await {
            let page = page?;
            list.items.extend(page.items);
            if page.resource_version != 0 {
                list.resource_version = page.resource_version;
                list.r#continue = page.r#continue;
            }
        }
        Ok(list)
    }

    /// The same in pages, all of one revision, so that a long list is never in memory as a
    /// whole. The last page alone tells the revision; the others have none (zero).
    pub async fn pages(
        &self,
        labels: &str,
        fields: &str,
    ) -> Result<impl Stream<Item = Result<ObjectList<api::Object>, Status>> + Send + use<>, Status>
    {
        let request = api::ListRequest {
            target: self.target("", ""),
            label_selector: labels.into(),
            field_selector: fields.into(),
            ..Default::default()
        };
        let pages = self.client.rpc().list(request).await?.into_inner();
        Ok(pages.map(|page| {
            let page = page?;
            Ok(ObjectList {
                items: page.items,
                resource_version: page.resource_version,
                r#continue: page.r#continue,
            })
        }))
    }

    /// Watches; the stream ends when the server ends it.
    pub async fn watch(
        &self,
        params: &WatchParams,
    ) -> Result<impl Stream<Item = Result<api::WatchEvent, Status>> + Send + use<>, Status> {
        let request = api::WatchRequest {
            target: self.target("", ""),
            label_selector: params.labels.clone(),
            field_selector: params.fields.clone(),
            resource_version: params.resource_version.clone(),
            allow_bookmarks: true,
            send_initial_events: params.send_initial_events,
            timeout_seconds: 0,
        };
        let stream = self.client.rpc().watch(request).await?.into_inner();
        Ok(stream.map(|event| event.map_err(Status::from)))
    }

    /// Creates an object, or with a subresource (`binding`, `eviction`,
    /// `token`) does what that means for the named one.
    pub async fn create(
        &self,
        name: &str,
        subresource: &str,
        json: Vec<u8>,
    ) -> Result<api::Object, Status> {
        let request = api::CreateRequest {
            target: self.target(name, subresource),
            json: json.into(),
            options: self.options(),
        };
        Ok(self.client.rpc().create(request).await?.into_inner())
    }

    /// Replaces an object or one of its subresources.
    pub async fn update(
        &self,
        name: &str,
        subresource: &str,
        json: Vec<u8>,
    ) -> Result<api::Object, Status> {
        let request = api::UpdateRequest {
            target: self.target(name, subresource),
            json: json.into(),
            options: self.options(),
        };
        Ok(self.client.rpc().update(request).await?.into_inner())
    }

    /// Patches an object or one of its subresources.
    pub async fn patch(
        &self,
        name: &str,
        subresource: &str,
        patch: Patch<'_>,
    ) -> Result<api::Object, Status> {
        let (kind, body, force) = match patch {
            Patch::Json(value) => (api::PatchType::JsonPatch, value, false),
            Patch::Merge(value) => (api::PatchType::MergePatch, value, false),
            Patch::Strategic(value) => (api::PatchType::StrategicMergePatch, value, false),
            Patch::Apply(value) => (api::PatchType::ApplyPatch, value, true),
        };
        let request = api::PatchRequest {
            target: self.target(name, subresource),
            r#type: kind.into(),
            patch: body.to_string().into(),
            options: self.options(),
            force,
        };
        Ok(self.client.rpc().patch(request).await?.into_inner())
    }

    /// Deletes one object. Answers the object while it is still going, or a
    /// `Status` once it is gone, as JSON.
    pub async fn delete(&self, name: &str, options: &DeleteParams) -> Result<api::Object, Status> {
        let request = api::DeleteRequest {
            target: self.target(name, ""),
            options: options.to_json().into(),
        };
        Ok(self.client.rpc().delete(request).await?.into_inner())
    }

    /// Deletes all that match.
    pub async fn delete_collection(
        &self,
        labels: &str,
        fields: &str,
        options: &DeleteParams,
    ) -> Result<(), Status> {
        let request = api::DeleteCollectionRequest {
            target: self.target("", ""),
            label_selector: labels.into(),
            field_selector: fields.into(),
            options: options.to_json().into(),
        };
        self.client.rpc().delete_collection(request).await?;
        Ok(())
    }
}
