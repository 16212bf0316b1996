//! Walking through chapters: typing the commands, showing what comes of them, and
//! leaving nothing behind.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anstream::println;

use super::lines::missing;
use super::names::Names;
use super::terminal::{Terminal, visit_port};
use super::visitors::{Seen, Visitors};
use super::{Chapter, Expect, Step};
use crate::compile;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::Lab;
use crate::plan::Host;
use crate::progress::seconds;
use crate::shell;

/// Folder of the manifests, in the repository.
pub const MANIFESTS: &str = "deploy/examples/tutorial";
/// Marks the namespaces of the walk, so that a later one finds what an interrupted one
/// left.
const LABEL: &str = "hardway.example/tutorial=walk";
/// So long may the cluster take to do what it was asked, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(45);

/// Somebody who walks through the tutorial.
#[derive(Debug)]
pub struct Walk {
    /// The lab it goes through.
    pub(super) lab: Lab,
    /// The hosts that run pods.
    pub workers: Vec<Host>,
    /// Where commands are typed.
    pub(super) terminal: Terminal,
    /// The pod named last.
    pub(super) last: String,
    visitors: Option<Visitors>,
    /// Namespaces that are to be removed.
    made: Vec<String>,
    interrupted: Arc<AtomicBool>,
}

/// How a chapter went.
#[derive(Debug)]
pub struct Told {
    /// Its number.
    pub number: u8,
    /// Its title.
    pub title: &'static str,
    /// How many steps it has.
    pub steps: usize,
    /// How many of them went well.
    pub passed: usize,
    /// What went wrong.
    pub failures: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

impl Walk {
    /// Gets ready: finds kubectl and the cluster, and removes what an earlier walk left.
    /// `scratch` is a folder of the walk's own.
    pub fn begin(lab: &Lab, scratch: &Path, interrupted: Arc<AtomicBool>) -> Result<Self> {
        // The reader's own kubeconfig stays as it is.
        let kubeconfig = scratch.join("kubeconfig");
        let text = shell::read_text(&lab.kubeconfigs().join("admin.kubeconfig"))?;
        shell::write_file(&kubeconfig, text.as_bytes(), 0o600)?;
        let manifests = compile::repository()?.join(MANIFESTS);
        let walk = Self {
            lab: lab.clone(),
            workers: lab.plan.workers(),
            terminal: Terminal::open(&manifests, &kubeconfig, scratch)?,
            last: String::new(),
            visitors: None,
            made: Vec::new(),
            interrupted,
        };
        walk.terminal
            .must(&format!(
                "kubectl delete namespaces --selector {LABEL} --timeout=50s"
            ))
            .map_err(|failure| {
                failure.way_out("is the cluster well? ask `cargo hardway status`")
            })?;
        walk.check_ports()?;
        Ok(walk)
    }

    /// Ports of nodes are there once for all namespaces.
    fn check_ports(&self) -> Result<()> {
        let services = self
            .terminal
            .json("kubectl get services --all-namespaces -o json")?;
        for service in services["items"].as_array().into_iter().flatten() {
            let ports = service["spec"]["ports"].as_array();
            let taken = ports
                .into_iter()
                .flatten()
                .any(|port| port["nodePort"] == 30061 || port["nodePort"] == 30062);
            if taken {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
                let name = text(&service["metadata"]["name"]);
                let namespace = text(&service["metadata"]["namespace"]);
                return Err(Failure::new(
                    "walk through the tutorial",
                    format!("service {name} in namespace {namespace} has a node port it needs"),
                )
                .way_out(format!(
                    "if you can do without it: kubectl delete service {name} --namespace {namespace}"
                )));
            }
        }
        Ok(())
    }

    /// Walks through a chapter; `keep` leaves what it made.
    pub fn chapter(&mut self, chapter: &'static Chapter, keep: bool) -> Told {
        let began = Instant::now();
        let heading = format!("Chapter {}: {}", chapter.number, chapter.title);
        println!("\n{heading}\n{}", "=".repeat(heading.len()));
        let mut told = Told {
            number: chapter.number,
            title: chapter.title,
            steps: chapter.steps.len(),
            passed: 0,
            failures: Vec::new(),
            time: Duration::ZERO,
        };
        match self.enter(chapter) {
            Ok(()) => self.steps(chapter, &mut told),
            Err(failure) => told.failures.push(failure.to_string()),
        }
        if let Err(failure) = self.leave(chapter, keep) {
            told.failures.push(format!("clean up: {failure}"));
        }
        told.time = began.elapsed();
        told
    }

    /// Makes the chapter's namespace, and the one that commands mean.
    fn enter(&mut self, chapter: &Chapter) -> Result<()> {
        let namespace = namespace(chapter);
        let typed = |command: &str| {
            println!("\n  $ {command}");
            self.terminal.must(command).map(|printed| show(&printed))
        };
        typed(&format!("kubectl create namespace {namespace}"))?;
        typed(&format!(
            "kubectl config set-context --current --namespace={namespace}"
        ))?;
        let label = format!("kubectl label namespace {namespace} {LABEL}");
        // It is the walk's own from here on; one that was there before would not be.
        self.made.push(namespace);
        self.terminal.must(&label)?;
        // Pods are refused until there is an account for them.
        self.until("the namespace has its service account", || {
            self.terminal.must("kubectl get serviceaccount default")
        })
        .map(drop)
    }

    /// Does the steps. A failed one may not matter to the next; two in a row mean that
    /// what follows stands on nothing.
    fn steps(&mut self, chapter: &'static Chapter, told: &mut Told) {
        let mut failed_before = false;
        for (index, step) in chapter.steps.iter().enumerate() {
            let number = format!("{}.{}", chapter.number, index + 1);
            println!("\n{number}  {}", step.proves);
            let began = Instant::now();
            let result = self.step(step);
            let took = seconds(began.elapsed());
            match &result {
                Ok(()) => {
                    println!("  ✓ {took}");
                    told.passed += 1;
                }
                Err(failure) => {
                    println!("  ✗ {failure} ({took})");
                    told.failures
                        .push(format!("{number} {}: {failure}", step.proves));
                }
            }
            let rest = told.steps - index - 1;
            let stop = self.is_interrupted() || (result.is_err() && failed_before);
            if stop && rest > 0 {
                told.failures.push(format!("{rest} more steps not tried"));
                break;
            }
            failed_before = result.is_err();
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let mut names = Names::default();
        let command = names.fill(self, step.command)?;
        println!("  $ {command}");
        let lines: &[&str] = match &step.expect {
            Expect::Shows(lines)
            | Expect::Becomes(lines)
            | Expect::Refused(lines)
            | Expect::Follows(_, lines) => lines,
            Expect::Does(_) => &[],
        };
        let lines = names.fill_all(self, lines)?;
        if let Some(pod) = names.pod() {
            pod.clone_into(&mut self.last);
        }
        match &step.expect {
            Expect::Shows(_) => {
                let output = self.terminal.run(&command)?;
                show(&output.printed);
                good(output.success, &output.printed, &lines)
            }
            Expect::Refused(_) => {
                let output = self.terminal.run(&command)?;
                show(&output.printed);
                if output.success {
                    return Err(Failure::new("it should be refused", "it was done"));
                }
                good(true, &output.printed, &lines)
            }
            Expect::Becomes(_) => {
                let mut printed = String::new();
                let result = self.until("it becomes so", || {
                    let output = self.terminal.run(&command)?;
                    printed = output.printed;
                    good(output.success, &printed, &lines)
                });
                show(&printed);
                result
            }
            Expect::Follows(port, _) => self.follow(&command, *port, &lines),
            Expect::Does(work) => work(self).map(|told| show(&told)),
        }
    }

    fn follow(&self, command: &str, port: u16, lines: &[String]) -> Result<()> {
        let running = self.terminal.start(command)?;
        let hosts = self.addresses();
        let mut turn = hosts.iter().cycle();
        let result = self.until("it prints so", || {
            if let Some(host) = turn.next() {
                visit_port(*host, port)?;
            }
            good(true, &running.printed(), lines)
        });
        show(&running.printed());
        result
    }

    /// Removes what the chapter made. Its Services go first: their ports are free for
    /// the next chapter then, while the rest goes in the background.
    fn leave(&mut self, chapter: &Chapter, keep: bool) -> Result<()> {
        self.visitors = None;
        let mut commands = Names::default().fill_all(self, chapter.afterwards)?;
        let namespace = namespace(chapter);
        if keep {
            self.made.retain(|made| *made != namespace);
        } else if self.made.contains(&namespace) {
            commands.push(format!(
                "kubectl delete services --all --namespace {namespace}"
            ));
            commands.push(format!("kubectl delete namespace {namespace} --wait=false"));
        }
        let results: Vec<Result<String>> = commands
            .iter()
            .map(|command| self.terminal.must(command))
            .collect();
        results.into_iter().collect::<Result<Vec<_>>>().map(drop)
    }

    /// Waits until nothing is left of what was made.
    pub fn end(&self) -> Result<()> {
        if self.made.is_empty() {
            return Ok(());
        }
        self.terminal
            .must(&format!(
                "kubectl delete namespaces {} --ignore-not-found --timeout=50s",
                self.made.join(" ")
            ))
            .map(drop)
    }

    /// Asks again and again until there is an answer, or patience ends.
    pub fn until<T>(&self, what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let failure = match probe() {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if began.elapsed() > PATIENCE || self.is_interrupted() {
                let waited = seconds(began.elapsed());
                return Err(Failure::new(
                    format!("waited {waited} until {what}"),
                    failure,
                ));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(300));
        }
    }

    /// Whether somebody wants the walk to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// The text with names for the words in braces.
    pub fn fill(&self, text: &str) -> Result<String> {
        Names::default().fill(self, text)
    }

    /// Where the workers are.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        self.workers.iter().map(|host| host.address).collect()
    }

    /// Lets visitors come to a port of all nodes until [`Self::farewell`].
    pub fn welcome(&mut self, port: u16) {
        self.visitors = Some(Visitors::start(self.addresses(), port));
    }

    /// What the visitors have seen so far.
    pub fn visited(&self) -> Result<Seen> {
        let visitors = self.visitors.as_ref();
        let seen = visitors.map(Visitors::seen);
        seen.ok_or_else(|| Failure::new("ask the visitors", "there are none"))
    }

    /// Ends the visits; tells what was seen.
    pub fn farewell(&mut self) -> Result<Seen> {
        let seen = self.visited();
        self.visitors = None;
        seen
    }

    /// Names of the pods with a label `name` that serve, the oldest first.
    pub fn serving(&self, label: &str) -> Result<Vec<String>> {
        let pods = self.terminal.json(&format!(
            "kubectl get pods --selector name={label} --sort-by .metadata.creationTimestamp -o json"
        ))?;
        let ready = |pod: &&serde_json::Value| {
            let conditions = pod["status"]["conditions"].as_array();
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions
                    .into_iter()
                    .flatten()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let names = pods.iter().filter(ready);
        Ok(names
            .filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned()))
            .collect())
    }
}

fn namespace(chapter: &Chapter) -> String {
    format!("tutorial-{}", chapter.number)
}

/// Shows what a command printed.
fn show(printed: &str) {
    for line in printed.trim_end().lines() {
        println!("{}", format!("    {line}").trim_end());
    }
}

/// Whether a command did as it should.
fn good(success: bool, printed: &str, lines: &[String]) -> Result<()> {
    if !success {
        return Err(Failure::new("it fails", printed.trim()));
    }
    match missing(printed, lines) {
        None => Ok(()),
        Some(line) => match line.strip_prefix('!') {
            Some(line) => Err(Failure::new("it should not print", line)),
            None => Err(Failure::new("it does not print", line)),
        },
    }
}

/// A folder of the walk's own in the lab's.
pub fn scratch(lab: &Lab) -> Result<std::path::PathBuf> {
    let folder = lab.folder.join("tutorial");
    std::fs::create_dir_all(&folder).or_fail(|| format!("create {}", folder.display()))?;
    Ok(folder)
}
