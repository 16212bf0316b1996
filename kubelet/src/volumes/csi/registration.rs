//! Plugins that make themselves known by a socket in `plugins_registry`
//! (`pkg/kubelet/pluginmanager`): drivers of CSI are; others are told that they aren't wanted.

use super::client::api::NodeGetInfoRequest;
use super::client::{connect, within};
use super::csi_node::Announcer;
use super::drivers::Drivers;
use crate::root_dir;
use hardway_client::notify::Watch;
use hardway_client::queue;
use hardway_proto::names;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The messages of registration.
#[allow(missing_docs, clippy::all)]
mod api {
    tonic::include_proto!("pluginregistration");
}

use api::registration_client::RegistrationClient;
use api::{InfoRequest, PluginInfo, RegistrationStatus};

/// The folder, below the kubelet's.
const FOLDER: &str = "plugins_registry";
/// What CSI drivers call themselves.
const TYPE: &str = "CSIPlugin";
/// How long a plugin may take to say who it is.
const TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause after a plugin couldn't be registered.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// A socket file, as it is there now: one that was made anew is another.
type Identity = (u64, u64, i64, i64);

/// A socket that is seen.
#[derive(Default)]
struct Seen {
    identity: Option<Identity>,
    registered: bool,
    failures: u32,
    again: Option<Instant>,
}

/// Keeps drivers registered that have a socket in the folder.
pub struct Registrar {
    folder: PathBuf,
    drivers: Drivers,
    announcer: Announcer,
    seen: BTreeMap<PathBuf, Seen>,
    /// Whether the cluster knows of no driver that has gone.
    settled: bool,
    /// Told when a driver has come.
    news: Arc<Notify>,
}

impl Registrar {
    /// Of a kubelet's directory. `news` is told of each driver that comes.
    pub fn new(root: &Path, drivers: Drivers, announcer: Announcer, news: Arc<Notify>) -> Self {
        Self {
            folder: root.join(FOLDER),
            drivers,
            announcer,
            seen: BTreeMap::new(),
            settled: false,
            news,
        }
    }

    /// Works for ever: whenever a socket comes or goes.
    pub async fn run(mut self) {
        if let Err(error) = root_dir::make(&self.folder) {
            let folder = self.folder.display();
            tracing::error!(%folder, %error, "no driver can register");
        }
        loop {
            // Watching before looking: what comes meanwhile is seen at the next turn.
            let watch = Watch::new(&self.folder);
            let again = self.look().await;
            let in_time = async {
                match again {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = watch.changed() => {}
                () = in_time => {}
            }
        }
    }

    /// Looks at all sockets once; answers when to look again although nothing has changed.
    async fn look(&mut self) -> Option<Instant> {
        let present = sockets(&self.folder);
        let gone: Vec<PathBuf> = self
            .seen
            .keys()
            .filter(|path| !present.contains_key(*path))
            .cloned()
            .collect();
        for path in gone {
            self.seen.remove(&path);
            if let Some(driver) = self.drivers.deregister(&path) {
                tracing::info!(driver, "a CSI driver has gone");
                self.settled = false;
            }
        }
        let (now, mut due) = (Instant::now(), Vec::new());
        for (path, identity) in present {
            let seen = self.seen.entry(path.clone()).or_default();
            if seen.identity != Some(identity) {
                *seen = Seen {
                    identity: Some(identity),
                    ..Seen::default()
                };
            }
            if !seen.registered && seen.again.is_none_or(|at| at <= now) {
                due.push(path);
            }
        }
        // One that hangs keeps no other from it.
        let work = due
            .iter()
            .map(|path| register(path, &self.drivers, &self.announcer));
        let outcomes = futures_util::future::join_all(work).await;
        for (path, outcome) in due.into_iter().zip(outcomes) {
            self.note(path, outcome);
        }
        self.settle().await
    }

    fn note(&mut self, socket: PathBuf, outcome: Result<String, String>) {
        let place = socket.display().to_string();
        let seen = self.seen.entry(socket).or_default();
        match outcome {
            Ok(driver) => {
                tracing::info!(driver, socket = place, "a CSI driver has registered");
                seen.registered = true;
                seen.again = None;
                self.settled = false;
                self.news.notify_one();
            }
            Err(error) => {
                seen.failures += 1;
                let pause = queue::backoff(seen.failures, RETRY, LONGEST_RETRY);
                seen.again = Some(Instant::now() + pause);
                tracing::warn!(socket = place, error, ?pause, "a plugin isn't registered");
            }
        }
    }

    /// Takes drivers out of the CSINode that have no socket any more. Not while one can't be
    /// asked for its name: it may be any of them.
    async fn settle(&mut self) -> Option<Instant> {
        let waiting = self.seen.values().filter_map(|seen| seen.again).min();
        if self.settled || waiting.is_some() {
            return waiting;
        }
        match self.announcer.keep_only(&self.drivers.names()).await {
            Ok(()) => {
                self.settled = true;
                None
            }
            Err(error) => {
                tracing::warn!(
                    error,
                    "the CSINode can't be brought up to date; will try again"
                );
                Some(Instant::now() + RETRY * 4)
            }
        }
    }
}

/// Sockets in a folder; those of hidden files are somebody's unfinished work.
fn sockets(folder: &Path) -> BTreeMap<PathBuf, Identity> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let found = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let identity = (
            metadata.dev(),
            metadata.ino(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        );
        metadata
            .file_type()
            .is_socket()
            .then(|| (entry.path(), identity))
    });
    found.collect()
}

/// Registers a plugin, and tells it what became of that.
async fn register(
    socket: &Path,
    drivers: &Drivers,
    announcer: &Announcer,
) -> Result<String, String> {
    let mut plugin = RegistrationClient::new(connect(socket));
    let info = within(TIMEOUT, plugin.clone().get_info(InfoRequest {})).await;
    let info = info.map_err(|failure| failure.message)?;
    let outcome = take_in(socket, &info, drivers, announcer).await;
    let status = RegistrationStatus {
        plugin_registered: outcome.is_ok(),
        error: outcome.clone().err().unwrap_or_default(),
    };
    if let Err(failure) = within(TIMEOUT, plugin.notify_registration_status(status)).await {
        let error = failure.message;
        tracing::debug!(
            name = info.name,
            error,
            "a plugin doesn't hear what became of it"
        );
    }
    outcome.map(|()| info.name)
}

/// Whether this kubelet can work with what a plugin says of itself.
fn check(info: &PluginInfo) -> Result<(), String> {
    if info.r#type != TYPE {
        return Err(format!(
            "no handler registered for plugin type: {} at socket",
            info.r#type
        ));
    }
    if info.name.is_empty() || !names::is_path_segment(&info.name).is_empty() {
        return Err(format!("{:?} can't be the name of a driver", info.name));
    }
    let versions: BTreeSet<&str> = info
        .supported_versions
        .iter()
        .map(|version| version.trim_start_matches('v'))
        .collect();
    match versions
        .iter()
        .any(|version| *version == "1" || version.starts_with("1."))
    {
        true => Ok(()),
        false => Err(format!(
            "validating plugin {:?}: none of the versions specified {:?} are supported: use CSI 1.x",
            info.name, info.supported_versions
        )),
    }
}

async fn take_in(
    socket: &Path,
    info: &PluginInfo,
    drivers: &Drivers,
    announcer: &Announcer,
) -> Result<(), String> {
    check(info)?;
    let endpoint = match info.endpoint.as_str() {
        "" => socket,
        endpoint => Path::new(endpoint),
    };
    let driver = drivers.at(endpoint);
    let node = tokio::time::timeout(TIMEOUT, driver.node_get_info(NodeGetInfoRequest {})).await;
    let node = node.map_err(|_| "the driver doesn't say what it calls this node".to_owned())?;
    let node = node.map_err(|failure| failure.message)?;
    if node.node_id.is_empty() {
        return Err("the driver has no name for this node".to_owned());
    }
    announcer.install(&info.name, &node).await?;
    drivers.register(&info.name, driver, socket);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_csi_drivers_of_version_one_are_taken_in() {
        let info = |kind: &str, name: &str, versions: &[&str]| PluginInfo {
            r#type: kind.into(),
            name: name.into(),
            endpoint: String::new(),
            supported_versions: versions.iter().map(|v| (*v).to_owned()).collect(),
        };
        assert_eq!(check(&info(TYPE, "d.io", &["0.3.0", "1.0.0"])), Ok(()));
        assert!(check(&info(TYPE, "d.io", &["0.3.0"])).is_err());
        assert!(check(&info(TYPE, "../d", &["1.0.0"])).is_err());
        let other = check(&info("DevicePlugin", "gpu", &["v1beta1"])).unwrap_err();
        assert!(other.starts_with("no handler registered for plugin type: DevicePlugin"));
    }
}
