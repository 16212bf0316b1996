//! What a person does with a cluster that is up, by the operator's tool: images without a
//! registry, Services' URLs, hosts, add-ons, kubectl, completions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use hardway_tests::manifest::{pod, service, web_server};
use hardway_tests::text::assert_has;
use hardway_tests::wait::holds;
use hardway_tests::{Deferred, Lab, Namespace, defer, http, pods, steps, until};
use serde_json::{Value, json};

struct Person {
    lab: Lab,
    namespace: Namespace,
    /// Names of the hosts that run pods.
    nodes: Vec<String>,
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_cluster_is_handy() {
    let lab = Lab::open();
    let nodes = lab.workers().into_iter().map(|node| node.name).collect();
    let person = Person {
        namespace: Namespace::new("handling"),
        lab,
        nodes,
    };
    let steps: &[steps::Step<Person>] = &[
        ("an archive of Docker's becomes an image", load),
        ("a tar becomes an image", build_from_tar),
        ("a Service has a URL", service_url),
        ("a Service without a node port", forwarded_service),
        ("a command on a host", ssh),
        ("files go to hosts and back", cp),
        ("kubectl finds the cluster", kubectl),
        ("an add-on goes and comes back", addons),
        ("shells complete", completion),
        ("a shell is led to containerd", docker_env),
        ("logs of all", logs),
    ];
    steps::run_side_by_side(&person, &person.namespace, steps);
}

/// Runs a program of this machine, which must succeed; gives what it prints.
#[track_caller]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of plain letters")
}

/// A root file system with nothing but busybox, as a tar.
fn root_file_system(folder: &Path) -> String {
    let root = folder.join("root/bin");
    fs::create_dir_all(&root).expect("make a folder");
    let busybox = run("sh", &["-c", "command -v busybox"]);
    fs::copy(busybox.trim(), root.join("sh")).expect("copy busybox");
    let tar = folder.join("layer.tar");
    let root = folder.join("root");
    run("tar", &["-cf", path(&tar), "-C", path(&root), "."]);
    path(&tar).to_owned()
}

/// What `docker save` writes for an image of one layer that prints a word.
fn docker_archive(folder: &Path, name: &str, architecture: &str) -> String {
    let layer = root_file_system(folder);
    let digest = run("sha256sum", &[&layer]);
    let digest = digest.split_whitespace().next().expect("a digest");
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo from an archive"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let image = json!({"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]});
    for (file, content) in [("config.json", config), ("manifest.json", json!([image]))] {
        fs::write(folder.join(file), content.to_string()).expect("write a document");
    }
    let archive = folder.join("image.tar");
    run(
        "tar",
        &[
            "-cf",
            path(&archive),
            "-C",
            path(folder),
            "config.json",
            "manifest.json",
            "layer.tar",
        ],
    );
    path(&archive).to_owned()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The nodes that have an image.
fn nodes_with(lab: &Lab, name: &str) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&lab.tool("image ls -o json")).expect("JSON");
    let images = listed.as_array().into_iter().flatten();
    let mut found = images.filter(|image| image["name"] == name);
    let nodes = found.next().and_then(|image| image["nodes"].as_array());
    nodes.cloned().unwrap_or_default()
}

/// Removes an image from all nodes when the step ends.
fn removed_at_the_end(lab: &Lab, name: &'static str) -> Deferred<impl FnMut()> {
    let lab = lab.clone();
    defer(move || {
        lab.try_tool(&format!("image rm --force {name}"));
    })
}

/// Runs a pod of an image that nodes must have, and gives what it printed.
fn printed_by(person: &Person, name: &str, image: &str) -> String {
    let container = json!({"name": "main", "image": image, "imagePullPolicy": "Never"});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    person.namespace.create(&pod(name, spec));
    pods::wait_until(&person.namespace, name, "done", |pod| {
        pod.phase() == "Succeeded"
    });
    let printed = person.namespace.run(&format!("logs {name}"));
    person.namespace.run(&format!("delete pod {name} --now"));
    printed
}

fn load(person: &Person) {
    let lab = &person.lab;
    let folder = tempfile::tempdir().expect("a folder");
    let archive = docker_archive(folder.path(), "hardway-handling:1", architecture());
    let _removed = removed_at_the_end(lab, "hardway-handling:1");
    let said = lab.tool(&format!("image load {archive}"));
    assert_has(&said, &["docker.io/library/hardway-handling:1"]);
    let nodes = nodes_with(lab, "docker.io/library/hardway-handling:1");
    assert_eq!(nodes, person.nodes);
    assert_eq!(
        printed_by(person, "loaded", "hardway-handling:1"),
        "from an archive\n"
    );
    lab.tool("image rm hardway-handling:1");
    assert!(nodes_with(lab, "docker.io/library/hardway-handling:1").is_empty());

    // Of what is wrong nothing is loaded.
    let other = docker_archive(folder.path(), "hardway-handling:2", "s390x");
    let refused = lab.try_tool(&format!("image load {other}"));
    assert!(!refused.success);
    assert_has(&refused.stderr, &["it is for linux/s390x"]);
    let bytes = fs::read(&archive).expect("read the archive");
    fs::write(&archive, &bytes[..bytes.len() / 2]).expect("cut the archive");
    let refused = lab.try_tool(&format!("image load {archive}"));
    assert!(!refused.success);
    assert!(nodes_with(lab, "docker.io/library/hardway-handling:2").is_empty());
}

fn build_from_tar(person: &Person) {
    let folder = tempfile::tempdir().expect("a folder");
    let tar = root_file_system(folder.path());
    let _removed = removed_at_the_end(&person.lab, "hardway-built:1");
    person.lab.tool(&format!(
        "image build-from-tar {tar} hardway-built:1 --entrypoint /bin/sh --entrypoint -c \
         --command 'echo $GREETING from $PWD' --env GREETING=hello --workdir /bin"
    ));
    assert_eq!(
        printed_by(person, "built", "hardway-built:1"),
        "hello from /bin\n"
    );
}

fn service_url(person: &Person) {
    let Person { lab, namespace, .. } = person;
    namespace.create(&pod("web", json!({"containers": [web_server("web")]})));
    namespace.create(&service("web", "web", json!({"type": "NodePort"})));
    namespace.create(&service("inside", "web", json!({})));
    let name = &namespace.name;
    let url = lab.tool(&format!("service web -n {name} --url --wait 60"));
    let address = url.trim().strip_prefix("http://").expect("a URL");
    let page = until("the URL answers", || {
        let answer = http::get(address, "/").map_err(|error| error.to_string())?;
        holds(answer.status == 200, answer.status)?;
        Ok(answer.body)
    });
    assert_eq!(page.trim(), "web");
    let https = lab.tool(&format!("service web -n {name} --url --https"));
    assert_eq!(https.trim(), format!("https://{address}"));
    let all = lab.tool(&format!("service --all -n {name} --url"));
    assert_eq!(all, url, "only one of the two has a port on the nodes");
    let listed = lab.tool(&format!("service list -n {name}"));
    assert_has(&listed, &["no node port", url.trim()]);

    let missing = lab.try_tool(&format!("service nothing -n {name}"));
    assert!(!missing.success);
    assert_has(&missing.stderr, &["there is no such Service"]);
    namespace.create(&service("idle", "nobody", json!({"type": "NodePort"})));
    let idle = lab.try_tool(&format!("service idle -n {name} --url --wait 0"));
    assert!(!idle.success);
    assert_has(&idle.stderr, &["no pod behind it is ready"]);
}

/// A Service for the cluster's own pods is led to, for as long as the tool runs.
fn forwarded_service(person: &Person) {
    let Person { lab, namespace, .. } = person;
    let spec = json!({"containers": [web_server("led-to")]});
    namespace.create(&pod("led-to", spec));
    namespace.create(&service("led-to", "led-to", json!({})));
    let mut tool = Command::new(lab.tool_path())
        .arg("--dir")
        .arg(lab.path(""))
        .args(["service", "led-to", "--url", "--wait", "60", "-n"])
        .arg(&namespace.name)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the tool");
    let mut url = String::new();
    let mut output = BufReader::new(tool.stdout.take().expect("its output"));
    let read = output.read_line(&mut url);
    let page = url
        .trim()
        .strip_prefix("http://127.0.0.1:")
        .map(|port| http::get(&format!("127.0.0.1:{port}"), "/"));
    tool.kill().expect("kill the tool");
    tool.wait().expect("wait for the tool");
    read.expect("read what it prints");
    let page = page.expect("a URL of this machine").expect("a page");
    assert_eq!(page.body.trim(), "led-to");
    let address = url.trim().trim_start_matches("http://").to_owned();
    until("the port is closed again", || {
        holds(http::get(&address, "/").is_err(), "it answers")
    });
}

fn ssh(person: &Person) {
    let Person { lab, nodes, .. } = person;
    let node = &nodes[0];
    let said = lab.tool(&format!("ssh {node} -- 'hostname; tr -d x </dev/null'"));
    assert_eq!(said.trim(), node);
    for code in [0, 3, 42] {
        let ended = lab.try_tool(&format!("ssh {node} -- 'exit {code}'"));
        assert_eq!(ended.code, Some(code));
    }
    let containers = lab.tool(&format!("ssh {node} -- ctr containers ls --quiet"));
    assert!(!containers.is_empty(), "the node's pods");
    let nowhere = lab.try_tool("ssh nowhere -- true");
    assert_has(&nowhere.stderr, &["hosts are: "]);
}

fn cp(person: &Person) {
    let Person { lab, nodes, .. } = person;
    let folder = tempfile::tempdir().expect("a folder");
    let here = |name: &str| path(&folder.path().join(name)).to_owned();
    let content: Vec<u8> = (0..200_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::create_dir_all(here("from/deep")).expect("make a folder");
    fs::write(here("from/deep/data"), &content).expect("write a file");
    run("chmod", &["751", &here("from/deep/data")]);
    // On a file system of the host's own: another host has no such file.
    let there = format!("/run/handling-{}", std::process::id());
    let (one, two) = (&nodes[0], &nodes[1]);
    lab.tool(&format!("cp {} {one}:{there}", here("from")));
    lab.tool(&format!("cp {one}:{there} {two}:{there}-moved"));
    lab.tool(&format!("cp {two}:{there}-moved {}", here("to")));
    let back = fs::read(here("to/deep/data")).expect("read the file");
    assert!(back == content, "{} bytes came back", back.len());
    let mode = run("stat", &["--format=%a", &here("to/deep/data")]);
    assert_eq!(mode.trim(), "751");
    // Into a folder that is there a file goes under its own name.
    fs::create_dir(here("box")).expect("make a folder");
    lab.tool(&format!("cp {one}:{there}/deep/data {}", here("box")));
    assert!(Path::new(&here("box/data")).exists());
    for host in [one, two] {
        lab.tool(&format!("ssh {host} -- 'rm -r {there}*'"));
    }
    let gone = lab.try_tool(&format!("cp {one}:{there} {}", here("again")));
    assert!(!gone.success && !Path::new(&here("again")).exists());
}

fn kubectl(person: &Person) {
    let Person { lab, nodes, .. } = person;
    let names = lab.tool("kubectl -- get nodes --output=name --sort-by=.metadata.name");
    let expected: Vec<String> = nodes.iter().map(|name| format!("node/{name}")).collect();
    assert_eq!(names.lines().collect::<Vec<_>>(), expected);
    let missing = lab.try_tool("kubectl get nodes no-such-node");
    assert_eq!(missing.code, Some(1));
    assert_has(&missing.stderr, &["\"no-such-node\" not found"]);
}

fn addons(person: &Person) {
    let lab = &person.lab;
    let status = |name: &str| {
        let listed = lab.tool("addons list -o json");
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed[name]["Status"].as_str().unwrap_or("").to_owned()
    };
    let needed = lab.try_tool("addons disable metrics-server dns");
    assert!(!needed.success, "pods need names");
    assert_eq!(status("metrics-server"), "enabled");

    let again = lab.clone();
    let enabled = defer(move || {
        again.try_tool("addons enable metrics-server");
    });
    lab.tool("addons disable metrics-server");
    assert_eq!(status("metrics-server"), "disabled");
    let everywhere = "get deployments,services,serviceaccounts,secrets,rolebindings,clusterroles,\
                      clusterrolebindings,apiservices --all-namespaces --output=name";
    let left = person.namespace.run(everywhere);
    let left: Vec<&str> = left
        .lines()
        .filter(|name| name.contains("metrics"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(status("dns"), "enabled");
    // A start brings back what is remembered, and nothing else.
    let remembered = fs::read_to_string(lab.path("addons.json")).expect("what is remembered");
    let remembered: Value = serde_json::from_str(&remembered).expect("JSON");
    assert_eq!(remembered, json!({"metrics-server": false}));
    drop(enabled);
    assert_eq!(status("metrics-server"), "enabled");
    until("the metrics API is served again", || {
        let said = person
            .namespace
            .try_run("get --raw /apis/metrics.k8s.io/v1beta1");
        said.ok().map(drop)
    });
}

fn completion(person: &Person) {
    let Person { lab, nodes, .. } = person;
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("completion");
    fs::write(&script, lab.tool("completion bash")).expect("write the script");
    let complete = |words: &str, last: &str| {
        let count = words.split_whitespace().count();
        let lines = format!(
            "source {} && COMP_WORDS=({words} {last}) COMP_CWORD={count} && \
             _hardway_names hardway {last} && printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            path(&script)
        );
        run("bash", &["-c", &lines])
    };
    run("bash", &["-n", path(&script)]);
    let tool = lab.tool_path();
    let tool = format!("{} --dir {}", path(tool), path(&lab.path("")));
    assert_has(&complete("hardway", "doc"), &["docker-env"]);
    let hosts = complete(&format!("{tool} ssh"), &nodes[0][..3]);
    assert_has(&hosts, &[&nodes[0]]);
    let processes = complete(&format!("{tool} logs"), "kube");
    assert_has(&processes, &[&format!("kubelet@{}", nodes[0])]);
    // Where a shell is not there nobody can use its script.
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        let there = Command::new(shell).arg("--version").output().is_ok();
        let text = lab.tool(&format!("completion {shell}"));
        assert_has(&text, &["docker-env"]);
        if there {
            fs::write(&script, text).expect("write the script");
            run(shell, &[check, path(&script)]);
        }
    }
}

fn docker_env(person: &Person) {
    let lab = &person.lab;
    let node = &person.nodes[0];
    let exports = lab.tool(&format!("docker-env --shell bash --node {node}"));
    let unset = lab.tool("docker-env --shell bash --unset");
    let script =
        format!("{exports}\nctr containers ls --quiet\n{unset}\necho \"<$CONTAINERD_ADDRESS>\"");
    let said = run("sh", &["-c", &script]);
    let inside = lab.tool(&format!("ssh {node} -- ctr containers ls --quiet"));
    let some = inside.lines().next().expect("the node has containers");
    assert_has(&said, &[some, "<>"]);
}

fn logs(person: &Person) {
    let lab = &person.lab;
    // etcd warns at every start that its tokens are plain.
    let said = lab.tool("logs");
    assert_has(&said, &["==> etcd@control-plane <=="]);
    let one = lab.tool("logs scheduler --tail 1");
    assert_eq!(one.lines().count(), 1);
    lab.tool("logs --problems --tail 1");
}
