//! Follows: reads lines, finds out what belongs to the story, shows it, and ends when all is
//! ready.

use crate::cli::Arguments;
use crate::cluster::{self, Cluster};
use crate::command::{self, Followed};
use crate::events;
use crate::feed::{self, Lines, Missing};
use crate::line::{Line, Object};
use crate::moment::Assembler;
use crate::output::Output;
use crate::readiness::{self, Readiness};
use crate::story::{Cause, Entry, Story};
use crate::summary::Times;
use futures_util::future::join_all;
use futures_util::stream::StreamExt;
use std::collections::{BTreeMap, HashSet};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::Instant;

/// Processes report at their own pace: so long a step waits for those from before it.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often is looked whether there is something to do.
const TICK: Duration = Duration::from_millis(100);
/// Nothing came for so long: is it all ready? …
const QUIET: Duration = Duration::from_millis(300);
/// … and it is, and nothing has come since.
const SETTLED: Duration = Duration::from_millis(700);
/// How often the same is asked while steps keep coming.
const LOOK: Duration = Duration::from_secs(2);
/// So long after the command requests of its name may be told of.
const LATE: Duration = Duration::from_millis(1500);

/// Why it could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The command.
    #[error(transparent)]
    Command(#[from] command::Error),
    /// There is nothing of that name.
    #[error("{0} is not there, and nothing that happened to it is remembered")]
    NotFound(String),
    /// The stream of steps ended.
    #[error("the steps broke off: {0}")]
    BrokenOff(String),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All that was followed is ready, done or gone.
    Ready,
    /// Something failed, or was refused.
    Failed,
    /// It took too long.
    TimedOut,
}

impl End {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
        }
    }
}

/// Follows what the arguments name, and shows it.
///
/// # Errors
/// If the cluster can't be asked, or the command not be run.
pub async fn follow(arguments: &Arguments) -> Result<End, Error> {
    let cluster = Cluster::connect(arguments).await?;
    let root = match &arguments.object {
        Some((kind, name)) => Some(cluster.object(kind, name)?),
        None => None,
    };
    let command = Followed::of(arguments)?;
    let mut output = Output::new(arguments);
    let (lines, has_steps) = match feed::steps(&cluster).await {
        Ok(feed) => {
            for note in &feed.notes {
                output.note(note);
            }
            (feed.lines, true)
        }
        Err(missing) => {
            output.note(&missing_steps(missing)?);
            (events::lines(&cluster), false)
        }
    };
    let cause = command.as_ref().map_or(Cause::Nothing, |command| {
        Cause::Agent(command.marker().to_owned())
    });
    let mut following = Following {
        story: Story::new(cause),
        cluster: &cluster,
        times: Times::default(),
        held: Vec::new(),
        seen: HashSet::new(),
        sought: None,
        has_steps,
        news: Instant::now(),
        looked: None,
    };
    let (end, message) = following
        .run(lines, root, command, &mut output, arguments.timeout)
        .await?;
    following.release(&mut output, Duration::ZERO);
    output.end(end, &message, &following.times.lines());
    Ok(end)
}

/// What is said where there are no steps.
fn missing_steps(missing: Missing) -> Result<String, Error> {
    let why = match missing {
        Missing::Foreign => "this apiserver is not hardway's and tells no steps",
        Missing::Forbidden => {
            "you may not read /debug/hardway/steps (docs/follow.md says which permission that needs)"
        }
        Missing::Broken(error) => return Err(cluster::Error::Cluster(error).into()),
    };
    Ok(format!("{why}; shown is what events and the objects tell"))
}

/// What is going on.
struct Following<'a> {
    story: Story,
    cluster: &'a Cluster,
    times: Times,
    /// Entries that wait for those from before them, with the time when they came.
    held: Vec<(Instant, Entry)>,
    /// Pods whose Services are known.
    seen: HashSet<Object>,
    /// When Services were asked for last.
    sought: Option<Instant>,
    has_steps: bool,
    /// When something came last.
    news: Instant,
    /// When all was looked at last, and what was found.
    looked: Option<(Instant, Readiness)>,
}

/// How far the command is.
enum Progress {
    Waits,
    Runs(Child),
    Over(Instant, ExitStatus),
    None,
}

impl Following<'_> {
    async fn run(
        &mut self,
        mut lines: Lines<'_>,
        root: Option<Object>,
        mut command: Option<Followed>,
        output: &mut Output,
        timeout: Duration,
    ) -> Result<(End, String), Error> {
        let mut assembler = Assembler::default();
        let mut deadline = Instant::now() + timeout;
        let mut progress = if command.is_some() {
            Progress::Waits
        } else {
            Progress::None
        };
        let mut is_synced = false;
        loop {
            let ended = async {
                match &mut progress {
                    Progress::Runs(child) => child.wait().await,
                    _ => std::future::pending().await,
                }
            };
            let moment = tokio::select! {
                line = lines.next() => match line {
                    Some(Ok(Line::Step(step))) => assembler.push(*step),
                    Some(Ok(Line::Synced)) => {
                        if let Some(moment) = assembler.flush() {
                            let entries = self.story.take(moment);
                            self.hold(entries);
                        }
                        if let Some(command) = &mut command {
                            self.story.begin();
                            progress = Progress::Runs(command.start()?);
                        }
                        if let Some(root) = &root {
                            self.begin_at(root).await?;
                        }
                        is_synced = true;
                        deadline = Instant::now() + timeout;
                        None
                    }
                    Some(Ok(Line::Lost { count })) => {
                        output.note(&format!("{count} steps came too fast and are missing"));
                        None
                    }
                    Some(Ok(Line::Away { address, why })) => {
                        output.note(&format!("the apiserver at {address} tells no more: {why}"));
                        None
                    }
                    Some(Ok(Line::Unknown)) => None,
                    Some(Err(why)) => return Err(Error::BrokenOff(why)),
                    None => return Err(Error::BrokenOff("the apiserver has ended them".to_owned())),
                },
                status = ended => {
                    if let Ok(status) = status {
                        progress = Progress::Over(Instant::now(), status);
                    }
                    None
                }
                () = tokio::time::sleep(TICK) => assembler.flush(),
            };
            if let Some(moment) = moment {
                let entries = self.story.take(moment);
                self.hold(entries);
            }
            self.find_services().await;
            self.release(output, PATIENCE);
            if !is_synced {
                continue;
            }
            if Instant::now() >= deadline {
                let waiting = match &self.looked {
                    Some((_, Readiness::Waiting(what))) => what.clone(),
                    _ => String::new(),
                };
                return Ok((End::TimedOut, waiting));
            }
            if let Some(end) = self.progressed(&mut progress, output).await {
                return Ok(end);
            }
            if matches!(progress, Progress::Runs(_) | Progress::Over(..)) {
                continue;
            }
            if let Some(end) = self.look().await? {
                return Ok(end);
            }
        }
    }

    /// What the command's end means, once its requests have been told of.
    async fn progressed(
        &mut self,
        progress: &mut Progress,
        output: &Output,
    ) -> Option<(End, String)> {
        let Progress::Over(at, status) = progress else {
            return None;
        };
        let is_late = at.elapsed() >= LATE;
        if !self.story.has_cause() {
            if !is_late {
                return None;
            }
            if self.has_steps
                && let Some(user) = self.cluster.user().await
            {
                let entries = self.story.look_for(Cause::User(user.clone()));
                if self.story.has_cause() {
                    output.note(&format!(
                        "the command's requests don't carry its name: shown is all that {user} wrote meanwhile"
                    ));
                }
                self.hold(entries);
            }
        }
        if !status.success() && is_late {
            return Some((End::Failed, format!("the command ended with {status}")));
        }
        if !self.story.has_cause() {
            let why = match self.has_steps {
                true => "the command has written nothing",
                false => "without steps only KIND/NAME can be followed",
            };
            return Some((
                if status.success() {
                    End::Ready
                } else {
                    End::Failed
                },
                why.to_owned(),
            ));
        }
        if status.success() {
            *progress = Progress::None;
        }
        None
    }

    /// Follows an object that is there, with what it owns.
    async fn begin_at(&mut self, root: &Object) -> Result<(), Error> {
        let found = self.cluster.get(root).await?;
        let uid = found
            .as_ref()
            .and_then(|object| object["metadata"]["uid"].as_str());
        let uid = uid.unwrap_or_default();
        let mut entries = self.story.follow(root.clone(), uid, 0);
        if found.is_none() && entries.is_empty() {
            return Err(Error::NotFound(root.short()));
        }
        if !uid.is_empty() {
            for (object, uid, depth) in self.cluster.owned(&root.namespace, uid).await {
                entries.extend(self.story.follow(object, &uid, depth));
            }
        }
        self.hold(entries);
        Ok(())
    }

    /// Follows the Services that select pods which are followed since a moment ago. Pods that
    /// come at about the same time are asked about together.
    async fn find_services(&mut self) {
        if self.sought.is_some_and(|at| at.elapsed() < TICK) {
            return;
        }
        let all = self.story.followed().iter();
        let pods: Vec<Object> = all
            .filter(|followed| followed.object.resource == "pods")
            .map(|followed| followed.object.clone())
            .filter(|pod| !self.seen.contains(pod))
            .collect();
        if pods.is_empty() {
            return;
        }
        let mut namespaces: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
        for pod in &pods {
            namespaces.entry(&pod.namespace).or_default().push(pod);
        }
        let cluster = self.cluster;
        let found = namespaces
            .iter()
            .map(|(namespace, pods)| cluster.services_of(namespace, pods));
        for (service, uid) in join_all(found).await.into_iter().flatten() {
            let entries = self.story.follow(service, &uid, 0);
            self.hold(entries);
        }
        self.seen.extend(pods);
        self.sought = Some(Instant::now());
    }

    /// Looks whether all is ready, when it is time for that.
    async fn look(&mut self) -> Result<Option<(End, String)>, Error> {
        let is_quiet = self.news.elapsed() >= QUIET;
        let due = match &self.looked {
            None => is_quiet,
            Some((at, _)) => at.elapsed() >= LOOK || is_quiet && *at < self.news,
        };
        if due {
            self.looked = Some((Instant::now(), self.readiness().await?));
        }
        Ok(match &self.looked {
            Some((_, Readiness::Failed(why))) => Some((End::Failed, why.clone())),
            Some((at, Readiness::Ready)) if *at >= self.news && self.news.elapsed() >= SETTLED => {
                Some((End::Ready, String::new()))
            }
            _ => None,
        })
    }

    /// How far all is that was asked for; and their pods, of which one may have failed.
    async fn readiness(&self) -> Result<Readiness, Error> {
        let mut all = Readiness::Ready;
        for followed in self.story.followed() {
            let object = &followed.object;
            let is_pod = object.resource == "pods";
            if followed.depth > 0 && !is_pod {
                continue;
            }
            let Some(value) = self.cluster.get(object).await? else {
                continue;
            };
            let slices = match object.resource.as_str() {
                "services" => self.cluster.slices(object).await,
                _ => Vec::new(),
            };
            let found = match value["metadata"]["deletionTimestamp"].is_string() {
                true => Readiness::Waiting("being deleted".to_owned()),
                false => readiness::of(&value, &slices),
            };
            let with_name = |why: &str| format!("{}: {why}", object.short());
            match found {
                Readiness::Failed(why) => return Ok(Readiness::Failed(with_name(&why))),
                Readiness::Waiting(why) if all == Readiness::Ready => {
                    all = Readiness::Waiting(with_name(&why));
                }
                _ => {}
            }
        }
        Ok(all)
    }

    fn hold(&mut self, entries: Vec<Entry>) {
        let now = Instant::now();
        if !entries.is_empty() {
            self.news = now;
        }
        for entry in &entries {
            self.times.take(entry);
        }
        self.held
            .extend(entries.into_iter().map(|entry| (now, entry)));
    }

    /// Shows what has waited for so long, and what was before it.
    fn release(&mut self, output: &mut Output, patience: Duration) {
        self.held
            .sort_by(|(_, one), (_, other)| one.at().total_cmp(&other.at()));
        let last = self
            .held
            .iter()
            .rposition(|(came, _)| came.elapsed() >= patience);
        let Some(last) = last else {
            return;
        };
        let entries: Vec<Entry> = self.held.drain(..=last).map(|(_, entry)| entry).collect();
        output.show(&entries);
    }
}
