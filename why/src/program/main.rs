//! The `hardway-why` process: reads what the engine needs, and shows what it finds.

mod connection;
mod dns;
mod kinds;
mod options;
mod printable;
mod reading;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use anstream::{eprintln, print};
use clap::Parser;
use hardway_why::{NotExplained, Resource, Subject, explain, needs, problems, resource};

use connection::Cluster;
use options::{Options, Output};
use printable::Printable;

/// Something is wrong.
const WRONG: u8 = 1;
/// It could not be found out.
const UNKNOWN: u8 = 2;

/// What is told when nothing could be found out: what, why, and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}\n  {way_out}")]
struct Failure {
    what: String,
    why: String,
    way_out: String,
}

impl Failure {
    fn new(what: impl Into<String>, why: impl ToString, way_out: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.to_string(),
            way_out: way_out.into(),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let limit = Duration::from_secs(options.timeout);
    let told = match tokio::time::timeout(limit, run(&options)).await {
        Ok(told) => told,
        Err(_) => Err(Failure::new(
            "read the cluster",
            format!("it took longer than {} s", options.timeout),
            "see whether the API server answers:  kubectl get --raw /readyz; or allow more:  --timeout SECONDS",
        )),
    };
    told.unwrap_or_else(|failure| {
        eprintln!("error: {}", Printable(failure));
        ExitCode::from(UNKNOWN)
    })
}

async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let named = options.subject()?;
    let cluster = Cluster::connect(options).await?;
    let namespace = options.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| cluster.namespace().to_owned());
    match named {
        None => {
            let namespace = (!options.all_namespaces).then_some(namespace);
            all(&cluster, namespace.as_deref(), options.output).await
        }
        Some((word, name)) => {
            let kind = kinds::find(&cluster, &word).await?;
            one(&cluster, &kind, &namespace, &name, options.output).await
        }
    }
}

async fn all(
    cluster: &Cluster,
    namespace: Option<&str>,
    output: Output,
) -> Result<ExitCode, Failure> {
    let resources: Vec<Resource> = hardway_why::everything().to_vec();
    let snapshot = reading::read(cluster, &resources, namespace, None).await?;
    let found = problems(&snapshot, namespace);
    let unread = snapshot.all_unread();
    match output {
        Output::Json => report::json(&serde_json::json!({"problems": found, "unread": unread}))?,
        Output::Text => print!("{}", report::problems(&found, &unread, namespace)),
    }
    Ok(match found.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(WRONG),
    })
}

async fn one(
    cluster: &Cluster,
    kind: &Resource,
    namespace: &str,
    name: &str,
    output: Output,
) -> Result<ExitCode, Failure> {
    let namespace = kind.namespaced.then_some(namespace);
    let subject = Subject::new(&kind.kind, namespace, name);
    let mut resources: Vec<Resource> = needs(&kind.kind).into_iter().cloned().collect();
    if resource(&kind.kind).is_none() {
        resources.push(kind.clone());
    }
    let snapshot = reading::read(cluster, &resources, namespace, Some(&subject)).await?;
    let told = explain(&snapshot, &subject).map_err(|error| match &error {
        NotExplained::Missing { .. } => {
            let list = format!("kubectl get {}", kind.plural);
            let there = namespace.map_or(list.clone(), |it| format!("{list} -n {it}"));
            Failure::new(
                format!("explain {subject}"),
                &error,
                format!("see what is there:  {there}"),
            )
        }
        NotExplained::Unread { .. } => Failure::new(
            format!("explain {subject}"),
            &error,
            format!(
                "see what you may read:  kubectl auth can-i get {}",
                kind.plural
            ),
        ),
    })?;
    match output {
        Output::Json => report::json(&told)?,
        Output::Text => print!("{}", report::explanation(&told)),
    }
    Ok(match told.is_wrong() {
        false => ExitCode::SUCCESS,
        true => ExitCode::from(WRONG),
    })
}
