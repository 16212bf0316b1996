//! The objects of the simulated cluster, made before its nodes come.

use super::objects::{self, NAMESPACE};
use super::{Simulation, as_failure};
use crate::api::{Api, ApiError, Call, Patch};
use crate::failure::{Failure, OrFail};
use crate::progress::Progress;
use crate::workers;
use parking_lot::Mutex;
use serde_json::json;
use std::ops::Range;
use std::sync::Arc;

/// Requests at the same time.
const CONCURRENCY: usize = 32;
/// Connections that they are shared out to.
const CONNECTIONS: usize = 4;

/// Makes objects.
pub struct Cluster<'a> {
    apis: Vec<Api>,
    options: &'a Simulation,
    progress: Progress,
}

impl<'a> Cluster<'a> {
    /// Of an API server that has none yet.
    pub fn new(admin: Api, options: &'a Simulation, progress: Progress) -> Self {
        Self {
            apis: (0..CONNECTIONS).map(|_| admin.fresh()).collect(),
            options,
            progress,
        }
    }

    /// Makes what doesn't depend on the size; gives the version in which the server has
    /// EndpointSlices.
    ///
    /// # Errors
    /// If it can't be made.
    pub async fn prepare(&self) -> Result<&'static str, Failure> {
        let api = &self.apis[0];
        let version = slices(api).await?;
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        let account = json!({"metadata": {"name": "default"}});
        let own = format!("/api/v1/namespaces/{NAMESPACE}");
        for (collection, object) in [
            ("/api/v1/namespaces".to_owned(), namespace),
            (format!("{own}/serviceaccounts"), account),
            (format!("{own}/configmaps"), objects::root_ca()),
        ] {
            let made = api.send(&Call::post(&collection, &object)).await;
            made.or_fail(|| format!("create something in {collection}"))?;
        }
        let slices =
            format!("/apis/discovery.k8s.io/{version}/namespaces/{NAMESPACE}/endpointslices");
        let services = format!("{own}/services");
        let count = self.options.services.get();
        self.each(0..count, "create Services", move |api, number| {
            let service = Call::post(&services, &objects::service(number));
            let slice = Call::post(&slices, &objects::slice(number, 0, version));
            async move {
                api.send(&service).await?;
                api.send(&slice).await.map(drop)
            }
        })
        .await?;
        Ok(version)
    }

    /// Makes nodes and the pods that they have.
    ///
    /// # Errors
    /// If one can't be made.
    pub async fn add(&self, nodes: Range<u64>) -> Result<(), Failure> {
        self.each(nodes.clone(), "create nodes", |api, number| async move {
            let call = Call::post("/api/v1/nodes", &objects::node(number));
            let made = api.send(&call).await?.json()?;
            if made["spec"]["taints"].is_null() {
                return Ok(());
            }
            // The taint of a node that is new: no controller is there to take it away.
            let path = format!("/api/v1/nodes/{}", objects::node_name(number));
            let patch = json!({"spec": {"taints": null}});
            api.send(&Call::patch(path, Patch::Merge, &patch))
                .await
                .map(drop)
        })
        .await?;
        let each = self.options.pods_per_node;
        let pods = nodes.start * each..nodes.end * each;
        let collection = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        self.each(pods, "create pods", move |api, number| {
            let node = objects::node_name(number / each);
            let pod = objects::pod(&format!("pod-{number}"), &node);
            let call = Call::post(&collection, &pod);
            async move { api.send(&call).await.map(drop) }
        })
        .await
    }

    /// Does something for each number; fails as the last one that did.
    async fn each<F>(
        &self,
        numbers: Range<u64>,
        what: &str,
        work: impl Fn(Api, u64) -> F + Send + Sync + 'static,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), ApiError>> + Send,
    {
        let total = numbers.end - numbers.start;
        let bar = Arc::new(self.progress.bar(what, total));
        let failed: Arc<Mutex<Option<ApiError>>> = Arc::default();
        let (apis, last, shown) = (self.apis.clone(), failed.clone(), bar.clone());
        let work = Arc::new(work);
        workers::each(total, CONCURRENCY, move |worker, turn| {
            let api = apis[worker % apis.len()].clone();
            let (work, last, bar) = (work.clone(), last.clone(), shown.clone());
            async move {
                if let Err(error) = work(api, numbers.start + turn).await {
                    *last.lock() = Some(error);
                }
                bar.advance();
            }
        })
        .await;
        bar.end();
        let failed = failed.lock().take();
        as_failure(what, failed)
    }
}

/// EndpointSlices are of v1 since Kubernetes 1.21.
async fn slices(api: &Api) -> Result<&'static str, Failure> {
    let call = Call::get("/apis/discovery.k8s.io/v1");
    match api.send(&call).await {
        Ok(_) => Ok("v1"),
        Err(error) if error.code() == Some(404) => Ok("v1beta1"),
        Err(error) => Err(error).or_fail(|| "ask for EndpointSlices".to_owned()),
    }
}
