//! Static pods: manifests in a directory of the node, run without any
//! apiserver, which only gets a mirror of each.

mod manifest;

pub use manifest::{mirror, read};

use hardway_client::notify::Watch;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Why a manifest isn't run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("static pod manifest {}: {reason}", file.display())]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// The static pods of a node, by UID.
pub type Pods = BTreeMap<String, Arc<Pod>>;

/// Reads manifests; a broken one leaves what its file said before.
struct Directory {
    dir: PathBuf,
    node: String,
    files: BTreeMap<PathBuf, (Vec<u8>, Arc<Pod>)>,
}

impl Directory {
    fn new(dir: &Path, node: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            node: node.to_owned(),
            files: BTreeMap::new(),
        }
    }

    /// Looks at all files; answers what is wrong with some.
    fn scan(&mut self) -> Vec<Error> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.files.clear();
                return Vec::new();
            }
            Err(error) => {
                return vec![Error {
                    file: self.dir.clone(),
                    reason: error.to_string(),
                }];
            }
        };
        let mut problems = Vec::new();
        let mut present = Vec::new();
        for entry in entries.flatten() {
            let file = entry.path();
            // Editors keep their unfinished work in hidden files.
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden || !file.is_file() {
                continue;
            }
            if let Err(reason) = self.load(&file) {
                problems.push(Error {
                    file: file.clone(),
                    reason,
                });
            }
            present.push(file);
        }
        self.files.retain(|file, _| present.contains(file));
        problems
    }

    fn load(&mut self, file: &Path) -> Result<(), String> {
        let text = std::fs::read(file).map_err(|e| e.to_string())?;
        if self.files.get(file).is_some_and(|(old, _)| *old == text) {
            return Ok(());
        }
        let pod = read(&text, file, &self.node)?;
        let taken = |(other, (_, known)): (&PathBuf, &(Vec<u8>, Arc<Pod>))| {
            other != file && (known.name(), known.namespace()) == (pod.name(), pod.namespace())
        };
        if self.files.iter().any(taken) {
            let name = format!("{}/{}", pod.namespace(), pod.name());
            return Err(format!("another manifest has a pod {name:?} already"));
        }
        self.files.insert(file.to_owned(), (text, Arc::new(pod)));
        Ok(())
    }

    fn pods(&self) -> Pods {
        let pods = self.files.values();
        pods.map(|(_, pod)| (pod.uid().to_owned(), pod.clone()))
            .collect()
    }
}

/// Makes the directory, for the administrator alone, unless it is there. Where
/// that can't be done, whoever wants static pods makes it later.
pub fn make_folder(dir: &Path) {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    if let Err(error) = made {
        tracing::info!(dir = %dir.display(), %error, "static pods have no folder; it is waited for");
    }
}

/// Follows a directory for ever; `pods` always holds what should run: nothing
/// while the directory isn't there.
pub async fn follow(dir: PathBuf, node: String, pods: watch::Sender<Pods>) {
    let mut directory = Directory::new(&dir, &node);
    let mut told = Vec::new();
    loop {
        // Of a directory that isn't there, the one in which it will be made.
        let place = dir.ancestors().find(|place| place.is_dir());
        let place = place.unwrap_or(Path::new("/"));
        let watch = Watch::new(place);
        let problems = directory.scan();
        for problem in problems.iter().filter(|p| !told.contains(*p)) {
            tracing::error!("{problem}; it is not applied");
        }
        told = problems;
        pods.send_if_modified(|current| {
            let new = directory.pods();
            let changed = *current != new;
            *current = new;
            changed
        });
        // It came since we looked where to watch.
        if place != dir && dir.is_dir() {
            continue;
        }
        watch.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn manifest(name: &str, image: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - {{name: c, image: '{image}'}}\n"
        )
    }

    fn images(directory: &Directory) -> Vec<String> {
        let pods = directory.pods();
        let containers = pods
            .values()
            .flat_map(|p| &p.spec.as_ref().unwrap().containers);
        containers.filter_map(|c| c.image.clone()).collect()
    }

    #[test]
    fn a_broken_manifest_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web.yaml");
        let mut directory = Directory::new(dir.path(), "worker-1");
        std::fs::write(&file, manifest("web", "a:1")).unwrap();
        std::fs::write(dir.path().join(".web.yaml.swp"), "junk").unwrap();
        assert_eq!(directory.scan(), []);
        assert_eq!(images(&directory), ["a:1"]);
        std::fs::write(&file, "kind: [").unwrap();
        assert_eq!(directory.scan().len(), 1);
        assert_eq!(images(&directory), ["a:1"], "as before");
        std::fs::write(&file, manifest("web", "a:2")).unwrap();
        assert_eq!(directory.scan(), []);
        assert_eq!(images(&directory), ["a:2"]);
        std::fs::write(dir.path().join("x.yaml"), manifest("web", "a:3")).unwrap();
        let text = directory.scan()[0].to_string();
        assert!(text.ends_with("another manifest has a pod \"default/web-worker-1\" already"));
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(dir.path().join("x.yaml")).unwrap();
        directory.scan();
        assert!(directory.pods().is_empty());
    }

    #[tokio::test]
    async fn changes_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (sender, mut pods) = watch::channel(Pods::new());
        let task = tokio::spawn(follow(dir.path().into(), "n".into(), sender));
        std::fs::write(dir.path().join("a.json"), manifest("a", "a:1")).unwrap();
        let patience = Duration::from_secs(10);
        let seen = pods.wait_for(|pods| pods.len() == 1);
        drop(tokio::time::timeout(patience, seen).await.unwrap().unwrap());
        std::fs::remove_file(dir.path().join("a.json")).unwrap();
        let gone = pods.wait_for(|pods| pods.is_empty());
        drop(tokio::time::timeout(patience, gone).await.unwrap().unwrap());
        task.abort();
    }

    #[tokio::test]
    async fn a_directory_may_come_later_and_go_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("etc/manifests");
        let (sender, mut pods) = watch::channel(Pods::new());
        let task = tokio::spawn(follow(dir.clone(), "n".into(), sender));
        let patience = Duration::from_secs(10);
        for _ in 0..2 {
            make_folder(&dir);
            std::fs::write(dir.join("a.json"), manifest("a", "a:1")).unwrap();
            let seen = pods.wait_for(|pods| pods.len() == 1);
            drop(tokio::time::timeout(patience, seen).await.unwrap().unwrap());
            std::fs::remove_dir_all(root.path().join("etc")).unwrap();
            let gone = pods.wait_for(|pods| pods.is_empty());
            drop(tokio::time::timeout(patience, gone).await.unwrap().unwrap());
        }
        make_folder(&dir);
        let mode = std::os::unix::fs::PermissionsExt::mode(&dir.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
        task.abort();
    }
}
