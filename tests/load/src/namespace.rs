//! The namespace of a workload: made for it, and deleted with all that is in it. Where no
//! controller manager runs, what that would do is done here.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::api::{Api, ApiError, Call};
use crate::failure::{Failure, OrFail};

/// How long the controller manager may take to make a new namespace's ServiceAccount.
const CONTROLLERS: Duration = Duration::from_secs(5);
/// How long a namespace may take to be gone.
const EMPTYING: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// What workloads make in it, and what may come with it.
const COLLECTIONS: [&str; 4] = ["pods", "configmaps", "secrets", "serviceaccounts"];

/// Why a namespace is still there.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("it is still there after {0} s: its status says why")]
    Still(u64),
}

/// Makes namespaces for a run.
pub(crate) struct Namespaces {
    api: Api,
    /// The run, for a label.
    id: String,
    /// That no controller manager runs, once it is known.
    alone: bool,
}

/// A namespace that was made.
pub(crate) struct Namespace {
    api: Api,
    name: String,
    alone: bool,
}

impl Namespaces {
    /// None yet.
    pub(crate) fn new(api: Api, id: String) -> Self {
        Self {
            api,
            id,
            alone: false,
        }
    }

    /// Makes one, with the ServiceAccount that pods need.
    pub(crate) async fn make(&mut self, name: &str) -> Result<Namespace, Failure> {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"hardway-load": self.id}},
        });
        let call = Call::post("/api/v1/namespaces", &object);
        let made = self.api.send(&call).await;
        made.or_fail(|| format!("make the namespace {name}"))?;
        let mut namespace = Namespace {
            api: self.api.clone(),
            name: name.to_owned(),
            alone: self.alone,
        };
        match namespace.ensure_service_account().await {
            Ok(()) => {
                self.alone = namespace.alone;
                Ok(namespace)
            }
            // That it can't be deleted either says as much.
            Err(failure) => namespace.delete().await.and(Err(failure)),
        }
    }
}

impl Namespace {
    async fn ensure_service_account(&mut self) -> Result<(), Failure> {
        let path = self.path("serviceaccounts");
        let call = Call::get(format!("{path}/default"));
        let deadline = Instant::now() + CONTROLLERS;
        while !self.alone {
            match self.api.send(&call).await {
                Err(error) if error.code() == Some(404) => {
                    self.alone = Instant::now() > deadline;
                    tokio::time::sleep(PAUSE).await;
                }
                read => {
                    let what = || format!("read the ServiceAccount default in {}", self.name);
                    return read.map(drop).or_fail(what);
                }
            }
        }
        let object = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default"},
        });
        match self.api.send(&Call::post(path, &object)).await {
            // Made by somebody meanwhile.
            Err(error) if error.code() == Some(409) => Ok(()),
            made => made
                .map(drop)
                .or_fail(|| format!("make the ServiceAccount default in {}", self.name)),
        }
    }

    /// Deletes it and waits until it is gone.
    pub(crate) async fn delete(&self) -> Result<(), Failure> {
        self.try_delete().await.map_err(|error| self.left(error))
    }

    /// Says that it is still there.
    pub(crate) fn left(&self, why: impl ToString) -> Failure {
        let what = format!("delete the namespace {}", self.name);
        let way_out = format!("delete it by hand:  kubectl delete namespace {}", self.name);
        Failure::new(what, why, way_out)
    }

    async fn try_delete(&self) -> Result<(), Left> {
        let own = format!("/api/v1/namespaces/{}", self.name);
        let is_gone = |error: &ApiError| error.code() == Some(404);
        match self.api.send(&Call::delete(&own)).await {
            Err(error) if is_gone(&error) => return Ok(()),
            deleted => deleted?,
        };
        let deadline = Instant::now() + EMPTYING;
        loop {
            let namespace = match self.api.send(&Call::get(&own)).await {
                Err(error) if is_gone(&error) => return Ok(()),
                answer => answer?,
            };
            if Instant::now() > deadline {
                return Err(Left::Still(EMPTYING.as_secs()));
            }
            if self.alone {
                self.empty().await?;
                let mut namespace = namespace.json()?;
                namespace["spec"]["finalizers"] = json!([]);
                let call = Call::put(format!("{own}/finalize"), &namespace);
                match self.api.send(&call).await {
                    Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                    ended => drop(ended?),
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn empty(&self) -> Result<(), ApiError> {
        for plural in COLLECTIONS {
            self.api.send(&Call::delete(self.path(plural))).await?;
        }
        Ok(())
    }

    fn path(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.name)
    }
}
