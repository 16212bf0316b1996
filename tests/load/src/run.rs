//! A run: one workload after the other, each in a namespace of its own, which is deleted
//! whatever happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use anstream::eprintln;
use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::Api;
use crate::failure::Failure;
use crate::namespace::Namespaces;
use crate::options::Sizes;
use crate::process::Sampler;
use crate::progress::Progress;
use crate::reference::Binaries;
use crate::report::{Measurement, Report};
use crate::target::Target;
use crate::version::Version;
use crate::workload::{Context, Workload};

/// A run of workloads against a cluster, whose programs are `binaries` if they were started for
/// it. Ends early, but tidily, when the process is asked to
/// end, by Ctrl-C or SIGTERM; when it is asked once more, at once. What a workload failed by,
/// or could not be deleted, is in the report.
///
/// # Errors
/// If the cluster can't be reached.
pub async fn run(
    workloads: &[Box<dyn Workload>],
    target: Arc<Target>,
    sizes: &Sizes,
    sampler: &Sampler,
    progress: Progress,
    binaries: Option<&Binaries>,
) -> Result<Report, Failure> {
    let mut stop = Stop::new()?;
    let api = Api::new(Arc::clone(&target));
    let version = Version::ask(&api).await?;
    let mut report = Report {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        began: jiff::Timestamp::now().to_string(),
        server: api.url().to_owned(),
        server_version: version.text.clone(),
        options: sizes.named().collect(),
        load_average: [load_average(), 0.0],
        measurements: Vec::new(),
        failures: BTreeMap::new(),
    };
    // Each has an own connection, as another client would have.
    let apis: Vec<Api> = (0..sizes.connections.get()).map(|_| api.fresh()).collect();
    let id = random_id();
    let mut namespaces = Namespaces::new(api, id.clone());
    for workload in workloads {
        let name = workload.name();
        if stop.was_asked {
            let interrupted = "not begun: interrupted".to_owned();
            report.failures.insert(name.to_owned(), interrupted);
            continue;
        }
        let context = Context {
            workload: name,
            apis: apis.clone(),
            namespace: format!("hardway-load-{id}-{name}"),
            id: id.clone(),
            sizes: Arc::new(sizes.clone()),
            sampler: sampler.clone(),
            progress,
            version: version.clone(),
            binaries: binaries.cloned(),
        };
        let (measured, tidied) = one(workload.as_ref(), &context, &mut namespaces, &mut stop).await;
        let failures: Vec<String> = [measured.as_ref().err(), tidied.as_ref().err()]
            .into_iter()
            .flatten()
            .map(Failure::to_string)
            .collect();
        if !failures.is_empty() {
            report.failures.insert(name.to_owned(), failures.join("\n"));
        }
        report.measurements.extend(measured.unwrap_or_default());
    }
    report.load_average[1] = load_average();
    Ok(report)
}

/// Runs one; what it measured, and whether all it had made was deleted.
async fn one(
    workload: &dyn Workload,
    context: &Context,
    namespaces: &mut Namespaces,
    stop: &mut Stop,
) -> (Result<Vec<Measurement>, Failure>, Result<(), Failure>) {
    let namespace = match namespaces.make(&context.namespace).await {
        Ok(namespace) => namespace,
        Err(failure) => return (Err(failure), Ok(())),
    };
    let measured = tokio::select! {
        measured = workload.run(context) => measured,
        () = stop.asked() => {
            context.progress.clear();
            eprintln!("deleting the namespace {} …", context.namespace);
            Err(Failure::new(
                format!("run the workload {}", context.workload),
                "interrupted",
                "run it again:  --only NAME",
            ))
        }
    };
    let tidy = async {
        // Both, whatever becomes of the first.
        let outside = workload.tidy(context).await;
        namespace.delete().await.and(outside)
    };
    let mut tidy = std::pin::pin!(tidy);
    let tidied = loop {
        let was_asked = stop.was_asked;
        tokio::select! {
            tidied = &mut tidy => break tidied,
            () = stop.asked() => if was_asked {
                break Err(namespace.left("interrupted"));
            }
        }
    };
    (measured, tidied)
}

/// The wish that the process end.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    was_asked: bool,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new("listen for signals", error, "see what limits this process")
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            was_asked: false,
        })
    }

    /// Whether it has been asked.
    pub(crate) fn has_been_asked(&mut self) -> bool {
        self.asked().now_or_never().is_some()
    }

    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.was_asked = true;
    }
}

/// The machine's load average of the last minute; 0 where it isn't known.
pub(crate) fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|it| it.parse().ok()).unwrap_or(0.0)
}

/// Letters and digits that no other run of this time has.
fn random_id() -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    // Two that begin at the same moment are two processes.
    let mixed = now as u64 ^ (u64::from(std::process::id()) << 40);
    let digits = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut id = String::new();
    for _ in 0..6 {
        id.push(char::from(digits[(rest % digits.len() as u64) as usize]));
        rest /= digits.len() as u64;
    }
    id
}
