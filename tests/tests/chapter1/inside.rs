//! Into the containers: logs, programs, terminals, files, ports.

use std::fs;

use hardway_tests::manifest::{IDLE, container, pod as pod_manifest};
use hardway_tests::terminal::Terminal;
use hardway_tests::text::assert_has;
use hardway_tests::{http, pods, until, wait};
use serde_json::json;

use crate::Application;

/// Name of one of the two pods.
fn a_pod(application: &Application) -> String {
    application.two_pods()[0].name()
}

/// Asks the web container of a pod for a page that leaves a line in its log.
fn knock(application: &Application, pod: &str, path: &str) {
    let url = format!("http://localhost:3000{path}");
    let call = [
        "exec", pod, "-c", "web", "--", "wget", "-q", "-O", "-", &url,
    ];
    // The page isn't there: only the log matters.
    application.namespace.try_call(&call, "");
}

pub fn logs(application: &Application) {
    let namespace = &application.namespace;
    let pod = a_pod(application);
    let mongo = namespace.run(&format!("logs {pod} mongo"));
    assert_has(
        &mongo,
        &["waiting for connections on port 27017, state in /data/db"],
    );
    knock(application, &pod, "/first");
    knock(application, &pod, "/second");
    // A line is in the log a moment after its visitor was answered.
    let web = until("the log tells of both visits", || {
        let web = namespace.try_run(&format!("logs {pod} -c web")).ok()?;
        wait::holds(web.contains("GET /second"), &web).map(|()| web)
    });
    assert_has(
        &web,
        &["Busmeme listens on port 3000", "GET /first", "GET /second"],
    );
    // Without a name the first container is taken, and that is told.
    let output = namespace.try_run(&format!("logs {pod}"));
    assert_eq!(
        output.stderr,
        "Defaulted container \"mongo\" out of: mongo, web\n"
    );
    assert_has(&output.stdout, &["waiting for connections"]);

    assert_has(
        &namespace.run(&format!("logs {pod} web --since=1h")),
        &["listens on port"],
    );

    let all = namespace.run(&format!("logs {pod} --all-containers --prefix"));
    for name in ["mongo", "web"] {
        assert!(all.contains(&format!("[pod/{pod}/{name}] ")), "{all}");
    }
    let both = namespace.run("logs -l name=web -c web --tail=1 --prefix");
    for pod in application.pods(2) {
        let prefix = format!("[pod/{}/web] ", pod.name());
        let lines = both.lines().filter(|line| line.starts_with(&prefix));
        assert_eq!(lines.count(), 1, "{both}");
    }
    let wrong = namespace.refused(&format!("logs {pod} nothing"), "");
    assert_eq!(
        wrong,
        format!("error: container nothing is not valid for pod {pod}\n")
    );
    let never = namespace.refused(&format!("logs {pod} web --previous"), "");
    assert_has(
        &never,
        &[&format!(
            "Error from server (BadRequest): previous terminated container \"web\" in pod \"{pod}\" not found"
        )],
    );
}

/// The end of a log, of a container that has said all it will.
pub fn logs_tail(application: &Application) {
    let namespace = &application.namespace;
    let script = format!("echo one; echo two; echo three; {IDLE}");
    let spec = json!({"containers": [container("main", &script)]});
    namespace.create(&pod_manifest("teller", spec));
    let logs = |more: &str| namespace.try_run(&format!("logs teller {more}"));
    until("all is in the log", || {
        let all = logs("").ok()?;
        wait::holds(all == "one\ntwo\nthree\n", all)
    });
    let logs = |more: &str| logs(more).ok().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(logs("--tail=1"), "three\n");
    assert_eq!(logs("--tail=2"), "two\nthree\n");
    assert_eq!(logs("--tail=0"), "");
    assert_eq!(logs("--limit-bytes=5"), "one\nt");
    let stamped = logs("--timestamps --tail=1");
    let (stamp, line) = stamped.split_once(' ').expect("a time and a line");
    assert!(
        stamp.len() >= "2026-01-01T00:00:00.0Z".len() && stamp[10..].starts_with('T'),
        "{stamped}"
    );
    assert_eq!(line, "three\n");
    assert_has(&logs(&format!("--since-time={stamp}")), &["three"]);
    namespace.run("delete pod teller --wait=false");
}

pub fn logs_followed(application: &Application) {
    let pod = a_pod(application);
    let follow = application
        .namespace
        .spawn(&format!("logs -f --tail=0 {pod} web"));
    // The stream may begin later than the first visit.
    until("the log is followed", || {
        knock(application, &pod, "/followed");
        let printed = follow.printed();
        wait::holds(printed.matches("GET /followed").count() >= 2, printed)
    });
}

pub fn exec(application: &Application) {
    let namespace = &application.namespace;
    let pod = a_pod(application);
    let date = namespace.run(&format!("exec {pod} -c web -- date"));
    assert!(date.contains("UTC 20"), "{date}");
    let output = namespace.try_run(&format!("exec {pod} -- hostname"));
    assert_eq!(output.stdout, format!("{pod}\n"));
    assert_eq!(
        output.stderr,
        "Defaulted container \"mongo\" out of: mongo, web\n"
    );
    // Input and output, both kinds of it, and the exit status.
    let fed = namespace.feed(&format!("exec -i {pod} -c web -- cat"), "one\ntwo\n");
    assert_eq!(fed, "one\ntwo\n");
    let output = namespace.try_call(
        &[
            "exec",
            &pod,
            "-c",
            "web",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2; exit 7",
        ],
        "",
    );
    assert_eq!(output.code, Some(7));
    assert_eq!(output.stdout, "out\n");
    assert_eq!(output.stderr, "err\ncommand terminated with exit code 7\n");
    // Much of it.
    let script = "dd if=/dev/zero bs=1024 count=2048 2>/dev/null | tr '\\0' x";
    let much = namespace.try_call(&["exec", &pod, "-c", "web", "--", "sh", "-c", script], "");
    assert_eq!(much.stdout.len(), 2048 * 1024);
    let missing = namespace.refused(&format!("exec {pod} -c web -- /no/such/program"), "");
    assert!(missing.contains("no such file or directory"), "{missing}");
    assert!(missing.contains("/no/such/program"), "{missing}");
    // The environment of the manifest and of services.
    let environment = namespace.run(&format!("exec {pod} -c web -- env"));
    for line in [
        "SITE_TITLE=Busmeme",
        "KUBERNETES_SERVICE_HOST=10.96.0.1",
        "KUBERNETES_SERVICE_PORT=443",
    ] {
        assert!(
            environment.lines().any(|l| l == line),
            "{line}: {environment}"
        );
    }
}

pub fn terminal(application: &Application) {
    let pod = a_pod(application);
    let line = format!("exec -it {pod} -c web -- sh");
    let mut terminal = Terminal::open(&application.namespace, &line, 40, 100);
    terminal.wait_for("# ");
    terminal.type_in("tty && echo is-a-$((1+1))-terminal\n");
    terminal.wait_for("is-a-2-terminal");
    terminal.type_in("echo $TERM=$((3*3))\n");
    terminal.wait_for("=9");
    // The size may arrive a moment after the shell.
    until("the shell knows the terminal's size", || {
        terminal.type_in("stty size\n");
        let shown = terminal.shown();
        wait::holds(shown.contains("40 100"), format!("{shown:?}"))
    });
    terminal.resize(50, 132);
    until("the shell knows the terminal's new size", || {
        terminal.type_in("stty size\n");
        let shown = terminal.shown();
        wait::holds(shown.contains("50 132"), format!("{shown:?}"))
    });
    // Control-C reaches what runs inside, not kubectl.
    terminal.type_in("echo sleeping-$((1+2)); sleep 1000\n");
    terminal.wait_for("sleeping-3");
    terminal.type_in("\u{3}");
    terminal.type_in("echo still-$((2*2))-here\n");
    terminal.wait_for("still-4-here");
    terminal.type_in("exit 3\n");
    assert_eq!(terminal.wait_end(), Some(3));
    let shown = terminal.shown();
    assert!(
        shown.contains("command terminated with exit code 3"),
        "{shown}"
    );
}

pub fn attach(application: &Application) {
    let namespace = &application.namespace;
    // The output of what runs.
    let pod = a_pod(application);
    let attached = namespace.spawn(&format!("attach {pod} -c web"));
    until("attach shows the log", || {
        knock(application, &pod, "/attached");
        let printed = attached.printed();
        wait::holds(printed.contains("GET /attached"), printed)
    });
    drop(attached);
    // Its input as well.
    let mut echo = container("echo", "while read line; do echo heard $line; done");
    echo["stdin"] = json!(true);
    namespace.create(&pod_manifest("echo", json!({"containers": [echo]})));
    pods::wait_pod(namespace, "echo");
    let mut attached = namespace.spawn("attach -i echo");
    attached.write("one\n");
    attached.wait_for("heard one");
    attached.write("two\n");
    attached.wait_for("heard two");
    drop(attached);
    namespace.run("delete pod echo --wait=false");
    // As `run -i` does it: attach to a pod that is being made.
    let told = namespace.feed(
        "run once --image=busybox:1.36 --restart=Never --rm -i --quiet -- cat",
        "all of it\n",
    );
    assert!(told.contains("all of it\n"), "{told}");
}

pub fn copy(application: &Application) {
    let namespace = &application.namespace;
    let pod = a_pod(application);
    let folder = tempfile::tempdir().expect("a folder for files");
    let path = |name: &str| folder.path().join(name);
    let content: String = (0..50_000).map(|line| format!("line {line}\n")).collect();
    fs::create_dir(path("there")).expect("create a folder");
    fs::write(path("there/big.txt"), &content).expect("write a file");
    fs::write(path("there/small.txt"), "small\n").expect("write a file");
    namespace.run(&format!(
        "cp {} {pod}:/tmp/there -c web",
        path("there").display()
    ));
    let listed = namespace.run(&format!("exec {pod} -c web -- ls /tmp/there"));
    assert_eq!(listed, "big.txt\nsmall.txt\n");
    namespace.run(&format!(
        "cp {pod}:/tmp/there/big.txt {} -c web",
        path("back.txt").display()
    ));
    assert!(fs::read_to_string(path("back.txt")).expect("the file is back") == content);
    // What isn't there isn't copied. Whether kubectl shows what tar said of it is a
    // race inside kubectl: the empty archive may end before the message arrives.
    drop(namespace.try_run(&format!(
        "cp {pod}:/tmp/none {} -c web",
        path("none").display()
    )));
    assert!(!path("none").exists());
}

pub fn port_forward(application: &Application) {
    let pod = a_pod(application);
    for (target, only) in [
        (format!("pod/{pod}"), Some(pod.as_str())),
        ("service/busmeme-service".to_owned(), None),
    ] {
        let line = format!("port-forward {target} :3000 --address=127.0.0.1");
        let forward = application.namespace.spawn(&line);
        let told = forward.wait_for("Forwarding from 127.0.0.1:");
        let port = told
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let address = format!("127.0.0.1:{}", port.expect("a port"));
        for _ in 0..5 {
            let page = http::get(&address, "/").unwrap_or_else(|e| panic!("{target}: {e}"));
            assert_eq!(page.status, 200);
            if let Some(pod) = only {
                assert!(page.body.contains(&format!("pod: {pod}")), "{page:?}");
            }
        }
        forward.wait_for("Handling connection for");
    }
    // A port where nobody listens: the visitor is hung up on, kubectl says why.
    let forward = application
        .namespace
        .spawn(&format!("port-forward {pod} :4000"));
    let told = forward.wait_for("Forwarding from 127.0.0.1:");
    let port = told
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    assert!(http::get(&format!("127.0.0.1:{}", port.expect("a port")), "/").is_err());
    forward.wait_for("refused");
}

pub fn logs_previous(application: &Application) {
    let namespace = &application.namespace;
    let pod = a_pod(application);
    // Its process may be gone before the answer is here.
    namespace.try_run(&format!("exec {pod} -c web -- kill 1"));
    let ended = pods::wait_until(namespace, &pod, "restarted and ready again", |pod| {
        pod.container("web")["restartCount"] == 1 && pod.ready()
    });
    assert_eq!(ended.container("mongo")["restartCount"], 0);
    let last = &ended.container("web")["lastState"]["terminated"];
    assert_eq!(last["reason"], "Completed");
    assert_eq!(last["exitCode"], 0);
    let previous = namespace.run(&format!("logs {pod} web --previous"));
    assert_has(
        &previous,
        &["listens on port 3000", "SIGTERM received, good bye"],
    );
    let now = namespace.run(&format!("logs {pod} web"));
    assert!(!now.contains("good bye"), "{now}");
    let told = namespace.run(&format!("describe pod {pod}"));
    assert_has(
        &told,
        &[
            "web:",
            "State: Running",
            "Last State: Terminated",
            "Reason: Completed",
            "Exit Code: 0",
            "Restart Count: 1",
        ],
    );
}
