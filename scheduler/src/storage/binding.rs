//! Claims get their volumes before their pod gets its node.

use super::{Choice, Storage};
use hardway_client::Client;
use hardway_proto::claims::{SELECTED_NODE, annotation, is_bound, kept_for, volume_name};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use std::time::Duration;

/// How long volumes may take to be made and bound, Kubernetes' `bindTimeoutSeconds`.
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

impl Storage {
    /// Carries choices out, and waits until the claims have their volumes.
    ///
    /// # Errors
    /// If somebody else got a volume, a claim changed or went, or it takes too long: the pod
    /// is to be scheduled anew.
    pub async fn bind(
        &self,
        client: &Client,
        choices: &[Choice],
        node: &str,
    ) -> Result<(), Status> {
        self.keep(client, choices, node)
            .await
            .map_err(|status| match status.is_not_found() {
                // Of a claim or a volume, not of the pod.
                true => Status::conflict("", "persistentvolumeclaims", "", &status.message),
                false => status,
            })?;
        let mut changes = self.changes.subscribe();
        let bound = async {
            while !self.are_bound(choices)? {
                // The sender is here too.
                let _ = changes.changed().await;
            }
            Ok(())
        };
        let timeout = || Status::timeout("context deadline exceeded");
        tokio::time::timeout(BIND_TIMEOUT, bound)
            .await
            .unwrap_or_else(|_| Err(timeout()))
    }

    /// Keeps volumes for their claims, and asks for those that are to be made.
    async fn keep(&self, client: &Client, choices: &[Choice], node: &str) -> Result<(), Status> {
        for choice in choices {
            match choice {
                Choice::Volume(claim, volume) => {
                    if let Some(kept) = kept_for(volume, claim) {
                        client.all().update(&kept).await?;
                    }
                }
                Choice::Provision(claim) => {
                    if annotation(claim.as_ref(), SELECTED_NODE).is_none() {
                        let mut new = claim.as_ref().clone();
                        let annotations = new.metadata.annotations.get_or_insert_default();
                        annotations.insert(SELECTED_NODE.into(), node.into());
                        client.namespaced(claim.namespace()).update(&new).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn are_bound(&self, choices: &[Choice]) -> Result<bool, Status> {
        let mut all = true;
        for choice in choices {
            let claim = choice.claim();
            let now = self.claims.get(&ObjectKey::of(claim.as_ref()));
            let now = now.filter(|now| now.uid() == claim.uid());
            let conflict =
                |why: &str| Status::conflict("", "persistentvolumeclaims", claim.name(), why);
            let now = now.ok_or_else(|| conflict("it was deleted"))?;
            // Ours was the only change of what was known then.
            let has_changed = now.resource_version() != claim.resource_version();
            let is_selected = annotation(now.as_ref(), SELECTED_NODE).is_some();
            if matches!(choice, Choice::Provision(_)) && has_changed && !is_selected {
                return Err(conflict("no volume can be made for it on the node"));
            }
            if let Choice::Volume(_, volume) = choice
                && is_bound(&now)
                && volume_name(&now) != volume.name()
            {
                return Err(conflict("it got another volume"));
            }
            all &= is_bound(&now);
        }
        Ok(all)
    }
}
