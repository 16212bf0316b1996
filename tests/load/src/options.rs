//! The command line.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use crate::process::{self, Sampler, Watched};
use crate::reference;
use crate::simulate::Simulation;

/// Puts load on a Kubernetes cluster, measures what it does, and checks what it answers.
///
/// Works in namespaces of its own, which are deleted at the end. Needs the rights of
/// cluster-admin. Where the API server is measured, the load's pods are for no scheduler.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "hardway-load", version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Something else than a run of workloads
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Show which workloads there are
    #[arg(long, exclusive = true)]
    pub list: bool,
    /// Compare reports of `--json`: ratios of the second side to the first. Several of a side
    /// are separated by commas: runs that alternated, in their order
    #[arg(long, num_args = 2, value_names = ["A.json[,…]", "B.json[,…]"], exclusive = true)]
    pub compare: Option<Vec<String>>,
    /// The cluster, and what is to be reported
    #[command(flatten)]
    pub run: RunOptions,
}

/// What there is beside runs of workloads.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Simulate the kubelets and proxies of many nodes
    Simulate(Simulation),
}

/// What a run may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct RunOptions {
    /// Kubeconfig of the cluster [default: $KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Its context [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Only these workloads; `--list` shows them
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub only: Vec<String>,
    /// Write the report as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as a page with plots, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Processes of this machine whose CPU and memory are measured
    #[arg(long, value_delimiter = ',', value_name = "NAME=PID")]
    pub processes: Vec<Watched>,
    /// The same: all that were started with files of this folder, such as a lab's, and what
    /// these have started
    #[arg(long, value_name = "FOLDER", conflicts_with = "processes")]
    pub processes_of: Option<PathBuf>,
    /// Servers that are started for the run
    #[command(flatten)]
    pub servers: reference::Servers,
    /// How much of everything
    #[command(flatten)]
    pub sizes: Sizes,
}

/// How much of everything.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sizes")]
pub struct Sizes {
    /// Objects that are made, listed, deleted
    #[arg(long, value_name = "N", default_value = "1000")]
    pub pods: NonZeroU64,
    /// Bytes of a pod, about
    #[arg(long, value_name = "BYTES", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(600..=1_000_000))]
    pub pod_size: u32,
    /// Requests at the same time, where as many are sent as are answered
    #[arg(long, value_name = "N", default_value = "16")]
    pub concurrency: NonZeroUsize,
    /// Connections that requests are shared out to, as if they were so many clients
    #[arg(long, value_name = "N", default_value = "4")]
    pub connections: NonZeroUsize,
    /// Requests a second, where they are sent at a fixed rate
    #[arg(long, value_name = "N", default_value = "500")]
    pub rate: NonZeroU32,
    /// How long requests are sent at a fixed rate
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub seconds: NonZeroU32,
    /// How often each kind of list is asked for
    #[arg(long, value_name = "N", default_value = "20")]
    pub lists: NonZeroU64,
    /// Watchers, each with a connection of its own
    #[arg(long, value_name = "N", default_value = "100")]
    pub watchers: NonZeroUsize,
    /// Events that all of them are to hear of
    #[arg(long, value_name = "N", default_value = "500")]
    pub events: NonZeroU64,
    /// Events a second
    #[arg(long, value_name = "N", default_value = "100")]
    pub event_rate: NonZeroU32,
    /// Writers that change the same object
    #[arg(long, value_name = "N", default_value = "8")]
    pub writers: NonZeroUsize,
    /// How often each of them does
    #[arg(long, value_name = "N", default_value = "25")]
    pub increments: NonZeroU64,
    /// Nodes that pods are scheduled to: objects that nobody is on
    #[arg(long, value_name = "N", default_value = "500")]
    pub nodes: NonZeroU64,
    /// How long processes are looked at while nothing is asked of them
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub idle: NonZeroU32,
    /// How often an API server is started
    #[arg(long, value_name = "N", default_value = "3")]
    pub server_starts: NonZeroU64,
    /// Pods that the cluster's nodes start
    #[arg(long, value_name = "N", default_value = "20")]
    pub pod_starts: NonZeroU64,
    /// Image of those pods, which has a shell, cat, sleep, yes and head
    #[arg(
        long,
        value_name = "IMAGE",
        default_value = "docker.io/library/busybox:1.36"
    )]
    pub image: String,
    /// Megabytes sent through a command in a pod and back
    #[arg(long, value_name = "N", default_value = "32")]
    pub stream_megabytes: NonZeroU32,
    /// Questions that cluster DNS is asked
    #[arg(long, value_name = "N", default_value = "10000")]
    pub queries: NonZeroU64,
    /// Where cluster DNS is
    #[command(flatten)]
    pub dns: Dns,
}

/// Where cluster DNS is.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Cluster DNS")]
pub struct Dns {
    /// Its address [default: that of the Service kube-dns, if this machine can reach it]
    #[arg(long, value_name = "ADDRESS")]
    pub dns_server: Option<IpAddr>,
    /// The domain of its names
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
}

impl Sizes {
    /// How long requests are sent at a fixed rate.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into())
    }

    /// All of them by name, for reports.
    pub fn named(&self) -> impl Iterator<Item = (String, String)> {
        let all: [(&str, &dyn ToString); 19] = [
            ("pods", &self.pods),
            ("pod-size", &self.pod_size),
            ("concurrency", &self.concurrency),
            ("connections", &self.connections),
            ("rate", &self.rate),
            ("seconds", &self.seconds),
            ("lists", &self.lists),
            ("watchers", &self.watchers),
            ("events", &self.events),
            ("event-rate", &self.event_rate),
            ("writers", &self.writers),
            ("increments", &self.increments),
            ("nodes", &self.nodes),
            ("idle", &self.idle),
            ("server-starts", &self.server_starts),
            ("pod-starts", &self.pod_starts),
            ("image", &self.image),
            ("stream-megabytes", &self.stream_megabytes),
            ("queries", &self.queries),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_string()))
            .into_iter()
    }
}

impl RunOptions {
    /// The processes to be measured.
    ///
    /// # Errors
    /// If there are none where they should be.
    pub fn sampler(&self) -> Result<Sampler, Failure> {
        let Some(folder) = &self.processes_of else {
            return Ok(Sampler::new(self.processes.clone()));
        };
        let found = process::beneath(folder).map_err(|error| {
            let way_out = "name the folder of a lab that is up (cargo hardway status), or the processes:  --processes NAME=PID";
            Failure::new("find the processes to measure", &error, way_out)
        });
        Ok(Sampler::new(found?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn parse(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("hardway-load").chain(words.split_whitespace()))
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            "--pods 0",
            "--pods -1",
            "--pod-size 10",
            "--concurrency 0",
            "--rate 0",
            "--processes apiserver",
            "--processes a=1 --processes-of /x",
            "--compare a.json",
            "--compare a.json b.json --only list",
            "--list --json x",
            "--idle 0",
            "--dns-server nowhere",
            "pods",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        let options = parse("--against k --only list,watch --pods 10 --processes a=1,b=2").unwrap();
        assert_eq!(options.run.only, ["list", "watch"]);
        assert_eq!(options.run.sizes.pods.get(), 10);
        assert_eq!(options.run.processes.len(), 2);
        let compared = parse("--compare a.json,b.json c.json").unwrap().compare;
        assert_eq!(compared.unwrap(), ["a.json,b.json", "c.json"]);
    }

    #[test]
    fn reports_tell_every_size() {
        use clap::CommandFactory;
        let options = parse("").unwrap();
        let told: Vec<String> = options.run.sizes.named().map(|(name, _)| name).collect();
        let command = Options::command();
        let flags = command
            .get_arguments()
            .filter(|it| it.get_help_heading() == Some("Sizes"));
        let flags: Vec<&str> = flags.filter_map(|it| it.get_long()).collect();
        assert_eq!(told, flags);
    }
}
