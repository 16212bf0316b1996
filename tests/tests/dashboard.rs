//! The dashboard: its page, driven in a browser against a lab, as an administrator's own, as
//! somebody's with few permissions, and as an add-on with a login.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hardway_tests::manifest::{IDLE, container, pod, service};
use hardway_tests::program::built;
use hardway_tests::{Kubectl, Lab, Namespace, pods};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// Whom the tests log in as: may look at the namespace, and change its ConfigMaps.
const GUEST: &str = "guest";

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_page_shows_and_changes_a_cluster() {
    let lab = Lab::open();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboard/page");
    npm(
        &page,
        &["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        &[],
    );
    npm(&page, &["run", "check"], &[]);
    npm(&page, &["run", "unit"], &[]);

    let namespace = Namespace::new("dashboard");
    let worker = lab.workers().remove(0).name;
    fill(&namespace, &worker);
    let _schedulable = hardway_tests::cleanup::defer(|| {
        drop(Kubectl::stock().try_run("uncordon --all"));
    });
    let kubeconfig = lab.path("kubeconfig/admin.kubeconfig");
    let token = namespace.run(&format!("create token {GUEST} --duration 1h"));
    let token = token.trim();
    let guest = guest_kubeconfig(&kubeconfig, token);
    let own = Dashboard::local(&kubeconfig);
    let restricted = Dashboard::local(guest.path());
    let add_on = Dashboard::serve(&server(&kubeconfig), &lab.path("pki/ca.crt"));
    npm(
        &page,
        &["test"],
        &[
            ("HARDWAY_DASHBOARD", OsStr::new(&own.url)),
            ("HARDWAY_DASHBOARD_GUEST", OsStr::new(&restricted.url)),
            ("HARDWAY_DASHBOARD_ADD_ON", OsStr::new(&add_on.url)),
            ("HARDWAY_TOKEN", OsStr::new(token)),
            ("HARDWAY_NAMESPACE", OsStr::new(&namespace.name)),
            ("HARDWAY_NODE", OsStr::new(&worker)),
        ],
    );
}

/// What the views have to show.
fn fill(namespace: &Namespace, worker: &str) {
    let talk = format!("echo the first line; echo the second line; mkdir /www; {IDLE}");
    let mut talker = pod("talker", json!({"containers": [container("main", &talk)]}));
    talker["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "cache", "mountPath": "/cache"}]);
    talker["spec"]["volumes"] = json!([{"name": "cache", "emptyDir": {}}]);
    talker["spec"]["nodeName"] = json!(worker);
    talker["metadata"]["labels"] = json!({"app": "talker"});
    namespace.create(&talker);
    let crash =
        "test -f /data/again && exec sleep 3600; echo the run before; touch /data/again; exit 3";
    let mut restarted = pod(
        "restarted",
        json!({
            "containers": [container("main", crash)],
            "volumes": [{"name": "data", "emptyDir": {}}],
        }),
    );
    restarted["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/data"}]);
    namespace.create(&restarted);
    let mut broken = pod("broken", json!({"containers": [container("main", IDLE)]}));
    broken["spec"]["containers"][0]["image"] = json!("does-not-exist.invalid/nothing:1");
    namespace.create(&broken);
    namespace.create(&service(
        "talker",
        "talker",
        json!({"ports": [{"port": 80}]}),
    ));
    for (kind, field, value) in [
        ("ConfigMap", "data", "hello"),
        ("Secret", "stringData", "tiger"),
    ] {
        namespace.create(&json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": "settings"}, field: {"key": value},
        }));
    }
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }));
    namespace.create(&json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [container("main", "echo done")],
        }}}}},
    }));
    namespace.run(&format!("create serviceaccount {GUEST}"));
    let account = format!("--serviceaccount {}:{GUEST}", namespace.name);
    namespace.run(&format!(
        "create rolebinding view --clusterrole view {account}"
    ));
    namespace.run("create role configure --verb update,patch --resource configmaps");
    namespace.run(&format!(
        "create rolebinding configure --role configure {account}"
    ));
    pods::wait_pod(namespace, "talker");
}

/// The administrator's kubeconfig with the guest's token in place of the credentials.
fn guest_kubeconfig(admin: &Path, token: &str) -> NamedTempFile {
    let mut config = view(admin);
    let name = config["contexts"][0]["context"]["user"].clone();
    config["users"] = json!([{"name": name, "user": {"token": token}}]);
    let mut file = NamedTempFile::new().expect("make a file");
    file.write_all(config.to_string().as_bytes())
        .expect("write the kubeconfig");
    file
}

/// A kubeconfig as JSON, with what its files hold in it.
fn view(kubeconfig: &Path) -> Value {
    Kubectl::stock().json(&format!(
        "config view --raw --flatten --kubeconfig {}",
        kubeconfig.display()
    ))
}

fn server(kubeconfig: &Path) -> String {
    let config = view(kubeconfig);
    let server = config["clusters"][0]["cluster"]["server"].as_str();
    server.expect("a kubeconfig names a server").to_owned()
}

/// A dashboard; dropped, it is ended.
struct Dashboard {
    child: Child,
    url: String,
}

impl Dashboard {
    fn local(kubeconfig: &Path) -> Self {
        let mut command = Command::new(built("hardway-dashboard"));
        command
            .args(["local", "--no-browser", "--kubeconfig"])
            .arg(kubeconfig);
        Self::start(command, |line| {
            line.starts_with("http").then(|| line.to_owned())
        })
    }

    /// As it runs in a pod, but on this machine.
    fn serve(server: &str, ca: &Path) -> Self {
        let mut command = Command::new(built("hardway-dashboard"));
        command
            .args([
                "serve",
                "--bind-address",
                "127.0.0.1",
                "--log-format",
                "json",
            ])
            .args([
                "--secure-port",
                "0",
                "--health-port",
                "0",
                "--server",
                server,
            ])
            .arg("--certificate-authority")
            .arg(ca);
        Self::start(command, |line| {
            let logged: Value = serde_json::from_str(line).ok()?;
            let address = &logged["fields"]["address"];
            address
                .as_str()
                .or(logged["address"].as_str())
                .map(|it| format!("https://{it}/"))
        })
    }

    /// Starts it, and reads what it prints up to where it says its address.
    #[track_caller]
    fn start(mut command: Command, address: impl Fn(&str) -> Option<String>) -> Self {
        let (reader, writer) = std::io::pipe().expect("make a pipe");
        let end = writer.try_clone().expect("a descriptor more");
        let child = command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(end)
            .spawn()
            .expect("start hardway-dashboard");
        // The command holds the pipe's other end.
        drop(command);
        let mut this = Self {
            child,
            url: String::new(),
        };
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        let mut said = Vec::new();
        for line in lines.by_ref() {
            if let Some(url) = address(&line) {
                this.url = url;
                break;
            }
            said.push(line);
        }
        assert!(
            !this.url.is_empty(),
            "hardway-dashboard did not start: {said:?}"
        );
        std::thread::spawn(move || lines.for_each(|line| eprintln!("   dashboard: {line}")));
        this
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs npm in the page's folder; what it prints is seen. Pictures of what fails go below
/// the folder of the build.
#[track_caller]
fn npm(page: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) {
    let failures: PathBuf = built("hardway-dashboard").with_file_name("dashboard-failures");
    let status = Command::new("npm")
        .args(arguments)
        .current_dir(page)
        .envs(environment.iter().copied())
        .env("HARDWAY_FAILURES", &failures)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .stdin(Stdio::null())
        .status()
        .expect("start npm");
    let what = arguments.join(" ");
    assert!(
        status.success(),
        "npm {what} in {}: {status}; pictures in {}",
        page.display(),
        failures.display()
    );
}
