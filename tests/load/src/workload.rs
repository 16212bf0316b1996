//! What a kind of load is, and what it is given.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::api::Api;
use crate::failure::Failure;
use crate::measure::Measuring;
use crate::options::Sizes;
use crate::process::Sampler;
use crate::progress::Progress;
use crate::reference::Binaries;
use crate::report::Measurement;
use crate::version::Version;

/// A kind of load.
pub trait Workload: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it does, in a line.
    fn about(&self) -> &'static str;

    /// Prepares, measures and checks. It may be dropped at any await.
    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>>;

    /// Takes away what it has made outside its namespace. Called in any case, also when
    /// nothing was made.
    fn tidy<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = context;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What a workload is given.
#[derive(Clone)]
pub struct Context {
    /// Its name.
    pub workload: &'static str,
    /// Clients with a connection each; [`Context::api`] shares them out.
    pub apis: Vec<Api>,
    /// Its namespace, which is made before it runs and deleted afterwards.
    pub namespace: String,
    /// For names outside the namespace: letters and digits that no other run has.
    pub id: String,
    /// How much of everything.
    pub sizes: Arc<Sizes>,
    /// The processes to be measured.
    pub sampler: Sampler,
    /// Where progress is shown.
    pub progress: Progress,
    /// The server's version.
    pub version: Version,
    /// The programs that were started for the run, if any were.
    pub binaries: Option<Binaries>,
}

impl Context {
    /// The client of the worker with this number.
    pub fn api(&self, worker: usize) -> &Api {
        // There is at least one.
        &self.apis[worker % self.apis.len()]
    }

    /// Begins to measure something that is to be done so many times.
    pub fn begin(&self, name: impl Into<String>, total: u64) -> Arc<Measuring> {
        let name = name.into();
        let bar = self.progress.bar(&name, total);
        let sampler = self.sampler.clone();
        Arc::new(Measuring::begin(self.workload, name, sampler, bar))
    }

    /// A measurement that can't be made here, and why.
    pub fn left_out(&self, name: &str, why: &str) -> Measurement {
        let measuring = self.begin(name, 0);
        measuring.note(format!("left out: {why}"));
        let mut measured = measuring.finish();
        measured.processes.clear();
        measured
    }

    /// The path of a collection in the namespace, such as `pods` of the core group.
    pub fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }
}
