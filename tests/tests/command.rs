//! The command as a person uses it on a laptop: a cluster is started, used, stopped, resumed,
//! and gone without a trace. The suite has a home and a cluster of its own, and leaves the lab
//! it is given alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hardway_tests::kubectl::{Output, finish};
use hardway_tests::program::built;
use hardway_tests::text::words;
use hardway_tests::wait::holds;
use hardway_tests::{Kubectl, within};
use serde_json::Value;

const NAME: &str = "command-test";

/// A person's home with nothing in it but the kubeconfig of another cluster.
struct Home {
    folder: tempfile::TempDir,
    tool: PathBuf,
}

const OTHERS: &str = "# of somebody's work
apiVersion: v1
kind: Config
clusters:
- cluster:
    server: https://work.example
  name: work
contexts:
- context:
    cluster: work
    user: me
  name: work
current-context: work
users: []
";

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Self {
            folder,
            tool: std::env::var_os("HARDWAY_TOOL").map_or_else(|| built("hardway"), PathBuf::from),
        };
        fs::create_dir(home.path(".kube")).expect("a folder");
        fs::write(home.kubeconfig(), OTHERS).expect("a kubeconfig");
        home
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.path(".kube/config")
    }

    fn kubeconfig_text(&self) -> String {
        fs::read_to_string(self.kubeconfig()).expect("the kubeconfig")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let binaries = built("hardway-apiserver");
        command
            .env("HOME", self.folder.path())
            .env("HARDWAY_HOME", self.path(".hardway"))
            .env("HARDWAY_PROFILE", NAME)
            .env("HARDWAY_BINARIES", binaries.parent().expect("a folder"))
            .env_remove("KUBECONFIG")
            .env_remove("SUDO_UID");
        command
    }

    fn try_run(&self, line: &str) -> Output {
        let mut command = self.command(Path::new("timeout"));
        command.args(["--kill-after=5", "100"]).arg(&self.tool);
        finish(command.args(words(line)), "")
    }

    #[track_caller]
    fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        let Output {
            code,
            stdout,
            stderr,
            ..
        } = &output;
        assert!(
            output.success,
            "hardway {line} ends with {code:?}\n{stdout}{stderr}"
        );
        output.stdout
    }

    /// The same, with how long it took on the test's output.
    #[track_caller]
    fn timed(&self, line: &str) -> String {
        let began = Instant::now();
        let printed = self.run(line);
        println!(
            "hardway {line}: {:.1} s\n{printed}",
            began.elapsed().as_secs_f64()
        );
        printed
    }

    /// What the tool tells of the cluster, and with which exit code.
    #[track_caller]
    fn status(&self) -> (Value, Option<i32>) {
        let output = self.try_run("status --output json");
        let state = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (state, output.code)
    }

    fn kubectl(&self) -> Kubectl {
        let kubeconfig = self.kubeconfig().display().to_string();
        Kubectl::stock()
            .env("KUBECONFIG", &kubeconfig)
            .with(&format!("--context={NAME}"))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Also after a failure nothing stays.
        self.try_run("delete --all --purge");
    }
}

/// Whatever of the machine has the cluster's name.
fn traces() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["/run/netns", "/sys/fs/cgroup", "/sys/fs/cgroup/memory"] {
        let entries = fs::read_dir(Path::new(folder))
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.map(|entry| entry.path().display().to_string());
        found.extend(names.filter(|name| name.contains(NAME)));
    }
    found
}

fn pod(kubectl: &Kubectl) -> Result<Value, String> {
    let pods = kubectl.try_json("get pods --selector=app=web")?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    match pods.as_slice() {
        [pod] => Ok(pod.clone()),
        other => Err(format!("{} pods", other.len())),
    }
}

/// Until the pod's container runs that was started so many times anew.
fn wait_running(kubectl: &Kubectl, restarts: u64) -> Value {
    within(Duration::from_secs(30), "the pod runs", || {
        let pod = pod(kubectl)?;
        let state = &pod["status"]["containerStatuses"][0];
        let runs = state["ready"] == true && state["restartCount"] == restarts;
        holds(runs, &pod["status"]).map(|()| pod)
    })
}

#[test]
#[ignore = "needs root and built components: cargo hardway test"]
fn a_cluster_is_started_stopped_resumed_and_deleted() {
    let home = Home::new();
    let absent = home.try_run("status");
    assert_eq!(absent.code, Some(85), "{absent:?}");
    assert!(absent.stderr.contains("hardway start"), "{absent:?}");

    home.timed("start");
    let (state, code) = home.status();
    assert_eq!(code, Some(0), "{state}");
    assert_eq!(state["APIServer"], "Running");
    assert_eq!(state["Kubeconfig"], "Configured");
    let text = home.kubeconfig_text();
    assert!(
        text.contains(&format!("current-context: {NAME}\n")),
        "{text}"
    );
    assert!(text.starts_with("# of somebody's work\n"), "{text}");

    // One node that is control plane and worker: pods run on it.
    let kubectl = home.kubectl();
    let nodes = kubectl.json("get nodes");
    assert_eq!(nodes["items"][0]["metadata"]["name"], NAME);
    assert!(nodes["items"][1].is_null() && nodes["items"][0]["spec"]["taints"].is_null());
    let address = home.run("ip");
    assert_eq!(
        nodes["items"][0]["status"]["addresses"][0]["address"],
        address.trim()
    );
    kubectl.run("create deployment web --image=busybox:1.36 -- sleep 10000");
    let before = wait_running(&kubectl, 0);

    home.timed("stop");
    let (state, code) = home.status();
    assert_eq!((code, &state["Host"]), (Some(7), &Value::from("Stopped")));
    assert!(home.kubeconfig_text().contains("current-context: \"\"\n"));
    assert_eq!(traces(), [""; 0], "processes and hosts are gone");

    // An interruption in the middle is repaired by the next start.
    let mut interrupted = home.command(&home.tool);
    let mut interrupted = interrupted.arg("start").spawn().expect("the tool");
    within(Duration::from_secs(20), "the host is being made", || {
        holds(!traces().is_empty(), "nothing is there")
    });
    interrupted.kill().expect("kill -9");
    interrupted.wait().expect("its end");

    home.timed("start");
    let after = wait_running(&kubectl, 1);
    for field in ["name", "uid"] {
        assert_eq!(
            after["metadata"][field], before["metadata"][field],
            "the same pod"
        );
    }
    assert_eq!(home.status().1, Some(0));

    home.timed("delete");
    assert_eq!(traces(), [""; 0]);
    assert!(!home.path(".hardway/profiles").exists());
    let left = OTHERS.replace("current-context: work", "current-context: \"\"");
    assert_eq!(home.kubeconfig_text(), left);
}
