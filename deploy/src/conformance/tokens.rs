//! A token Secret for each ServiceAccount that the tests make: until Kubernetes 1.24 the
//! controller manager made one, and suites of that age wait for it before they begin. Ours
//! does as Kubernetes does since: it fills in those that others make, so that tests of that
//! age can be had without a controller manager of that age.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::text;
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// So long after a watch of the accounts has ended the next one begins.
const AGAIN: Duration = Duration::from_millis(500);

/// Makes token Secrets until it is ended.
#[derive(Debug)]
pub struct Maker {
    watch: Arc<Mutex<Watch>>,
    thread: JoinHandle<Vec<Failure>>,
}

/// The kubectl that shows accounts, and whether another may follow it.
#[derive(Debug, Default)]
struct Watch {
    running: Option<Child>,
    ended: bool,
}

/// A kubectl with the tests' kubeconfig.
#[derive(Debug, Clone)]
struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Maker {
    /// Begins: accounts of namespaces that are there already get none.
    ///
    /// # Errors
    /// If kubectl can't be run or does not reach the cluster.
    pub fn start(kubectl: &Path, kubeconfig: &Path) -> Result<Self> {
        let kubectl = Kubectl {
            program: kubectl.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
        };
        let before = kubectl.run(&["get", "namespaces", "--output=name"], "")?;
        let before: HashSet<String> = before
            .lines()
            .filter_map(|line| line.strip_prefix("namespace/"))
            .map(str::to_owned)
            .collect();
        let watch = Arc::new(Mutex::new(Watch::default()));
        let shared = Arc::clone(&watch);
        let thread = std::thread::spawn(move || {
            let mut failures = Vec::new();
            loop {
                match next(&shared, &kubectl) {
                    Ok(Some(stdout)) => {
                        let needed = listed(stdout).filter_map(|one| needed(&one, &before));
                        let given = needed.map(|(secret, account)| kubectl.give(&secret, &account));
                        let failed = given.filter_map(std::result::Result::err);
                        failures.extend(failed.filter(|failure| !is_over(failure)));
                    }
                    Ok(None) => return failures,
                    Err(failure) => failures.push(failure),
                }
                // The apiserver ends each watch after some minutes; one that can't be had is
                // not asked for all the time.
                std::thread::sleep(AGAIN);
            }
        });
        Ok(Self { watch, thread })
    }

    /// Ends it; what could not be done.
    pub fn end(self) -> Vec<Failure> {
        let mut watch = lock(&self.watch);
        watch.ended = true;
        if let Some(running) = &mut watch.running {
            // One that has ended by itself is waited for below.
            let _ = running.kill();
        }
        drop(watch);
        self.thread.join().unwrap_or_default()
    }
}

/// Waits for the former kubectl and starts the next one, unless that is over: its output.
fn next(watch: &Mutex<Watch>, kubectl: &Kubectl) -> Result<Option<ChildStdout>> {
    let mut watch = lock(watch);
    let former = watch.running.take().map(|mut former| former.wait());
    if watch.ended {
        return Ok(None);
    }
    if let Some(Ok(status)) = former
        && !status.success()
    {
        return Err(Failure::new(
            "watch the accounts of the tests",
            status.to_string(),
        ));
    }
    let mut running = kubectl.watch()?;
    let stdout = running.stdout.take();
    watch.running = Some(running);
    Ok(stdout)
}

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it failed because the account or its namespace is on its way out.
fn is_over(failure: &Failure) -> bool {
    let over = ["(NotFound)", "being terminated"];
    over.iter().any(|word| failure.why.contains(word))
}

/// The accounts that kubectl prints, until it ends.
fn listed(stdout: impl Read) -> impl Iterator<Item = Value> {
    serde_json::Deserializer::from_reader(stdout)
        .into_iter::<Value>()
        .map_while(std::result::Result::ok)
        .flat_map(|mut value| match value["items"].take() {
            Value::Array(items) => items,
            _ => vec![value],
        })
}

/// The Secret that an account lacks, and the account that names it.
fn needed(account: &Value, not_in: &HashSet<String>) -> Option<(Value, Value)> {
    let metadata = &account["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let named = account["secrets"]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    let leaving = !metadata["deletionTimestamp"].is_null();
    if named || leaving || not_in.contains(namespace) {
        return None;
    }
    // By the account's uid: one that is made anew needs another.
    let end: String = text(&metadata["uid"]).chars().take(5).collect();
    let secret_name = format!("{name}-token-{end}");
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": secret_name,
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": name},
        },
    });
    let mut account = account.clone();
    account["secrets"] = json!([{"name": secret_name}]);
    Some((secret, account))
}

impl Kubectl {
    fn kubeconfig(&self) -> String {
        format!("--kubeconfig={}", self.kubeconfig.display())
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let program = self.program.display().to_string();
        let kubeconfig = self.kubeconfig();
        let arguments = [&[&*kubeconfig], arguments].concat();
        shell::run_with_input(&program, &arguments, input)
    }

    /// All accounts, then those that change.
    fn watch(&self) -> Result<Child> {
        Command::new(&self.program)
            .arg(self.kubeconfig())
            .args(["get", "serviceaccounts", "--all-namespaces"])
            .args(["--watch", "--output=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .or_fail(|| "watch the service accounts with kubectl")
    }

    /// Makes the Secret and has the account name it.
    fn give(&self, secret: &Value, account: &Value) -> Result<()> {
        let namespace = text(&secret["metadata"]["namespace"]);
        let in_namespace = format!("/api/v1/namespaces/{namespace}");
        let secrets = format!("{in_namespace}/secrets");
        let made = self.run(
            &["create", "--raw", &secrets, "--filename=-"],
            &secret.to_string(),
        );
        // The account may have changed since; then it is shown again, and its Secret is there.
        if let Err(failure) = made
            && !failure.why.contains("AlreadyExists")
        {
            return Err(failure);
        }
        let name = text(&account["metadata"]["name"]);
        let path = format!("{in_namespace}/serviceaccounts/{name}");
        let named = self.run(
            &["replace", "--raw", &path, "--filename=-"],
            &account.to_string(),
        );
        match named {
            Err(failure) if !failure.why.contains("Conflict") => Err(failure),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_without_a_secret_get_one() {
        let printed = r#"{"kind": "List", "items": [
                {"metadata": {"namespace": "kube-system", "name": "default", "uid": "1"}},
                {"metadata": {"namespace": "e2e-1", "name": "with", "uid": "2"},
                 "secrets": [{"name": "x"}]}]}
            {"metadata": {"namespace": "e2e-1", "name": "leaving", "uid": "3",
             "deletionTimestamp": "2026-11-26T00:00:00Z"}}
            {"metadata": {"namespace": "e2e-1", "name": "default", "uid": "123456-7",
             "resourceVersion": "9"}}
            {"cut"#;
        let before = HashSet::from(["kube-system".to_owned()]);
        let given: Vec<_> = listed(printed.as_bytes())
            .filter_map(|account| needed(&account, &before))
            .collect();
        let [(secret, account)] = given.as_slice() else {
            panic!("{given:?}");
        };
        assert_eq!(secret["metadata"]["name"], "default-token-12345");
        assert_eq!(secret["metadata"]["namespace"], "e2e-1");
        assert_eq!(account["secrets"][0]["name"], "default-token-12345");
        assert_eq!(account["metadata"]["resourceVersion"], "9");
    }

    #[test]
    fn a_watch_that_has_to_be_ended_is() {
        let folder = tempfile::tempdir().unwrap();
        let kubectl = folder.path().join("kubectl");
        let said = folder.path().join("said");
        // Lists no namespace, shows one account, and goes on.
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n*--watch*) echo '{{\"metadata\": {{\"namespace\": \"n\", \
             \"name\": \"a\", \"uid\": \"12345\"}}}}'; exec tail -f /dev/null ;;\n\
             *--raw*) echo \"$2 $4\" >> {0}.part; cat > /dev/null; \
             [ $2 = create ] || mv {0}.part {0} ;;\nesac\n",
            said.display()
        );
        shell::write_program(&kubectl, &script);
        let maker = Maker::start(&kubectl, Path::new("kubeconfig")).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !said.exists() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        let failures = maker.end();
        assert!(failures.is_empty(), "{failures:?}");
        let said = shell::read_text(&said).unwrap();
        assert_eq!(
            said,
            "create /api/v1/namespaces/n/secrets\n\
             replace /api/v1/namespaces/n/serviceaccounts/a\n"
        );
    }
}
