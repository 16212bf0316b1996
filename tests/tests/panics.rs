//! Every task of every component panics, once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hardway_tests::workload::Workload;
use hardway_tests::{Lab, defer, until, wait};

/// The components, and where they run.
const COMPONENTS: &[(&str, &str)] = &[
    ("apiserver", "control-plane"),
    ("controller-manager", "control-plane"),
    ("scheduler", "control-plane"),
    ("kubelet", "worker-1"),
    ("proxy", "worker-1"),
    ("flannel-lite", "worker-1"),
];

/// Tasks that may end by themselves: they aren't always there to panic.
const JOBS: &[&str] = &[
    "bind",
    "etcd-revision",
    "events",
    "first-look",
    "forward",
    "pod-worker",
];

/// A component in a lab whose build has faults.
struct Component<'a> {
    lab: &'a Lab,
    process: &'static str,
    host: &'static str,
}

impl Component<'_> {
    fn name(&self) -> String {
        format!("{}@{}", self.process, self.host)
    }

    fn file(&self, name: &str) -> PathBuf {
        let folder = format!("nodes/{}/faults/{}", self.host, self.process);
        self.lab.path(&folder).join(name)
    }

    /// Has the process carry a command out.
    fn ask(&self, command: &str) {
        write(&self.file("new"), command);
        std::fs::rename(self.file("new"), self.file("do")).expect("ask for a fault");
    }

    /// The names of its tasks, but for one key of a queue, one pod, and jobs.
    fn tasks(&self) -> Vec<String> {
        self.ask("tasks");
        until(&format!("{} tells its tasks", self.name()), || {
            wait::holds(!self.file("do").exists(), "not yet")
        });
        let names = std::fs::read_to_string(self.file("tasks")).expect("its tasks");
        let is_retried = |task: &str| task.starts_with("reconcile ") || task.starts_with("pod ");
        let is_critical = |task: &&str| !is_retried(task) && !JOBS.contains(task);
        names
            .lines()
            .filter(is_critical)
            .map(str::to_owned)
            .collect()
    }

    fn log(&self) -> String {
        let file = format!("nodes/{}/log/{}.log", self.host, self.process);
        let bytes = std::fs::read(self.lab.path(&file)).expect("its log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it has ended, as the table of processes shows it.
    fn has_ended(&self) -> Result<(), String> {
        let status = self.lab.try_tool("status").stdout;
        let of_it = |line: &&str| {
            let mut words = line.split_whitespace();
            words.next() == Some(self.host) && words.next() == Some(self.process)
        };
        let line = status.lines().find(of_it).unwrap_or_default();
        wait::holds(line.split_whitespace().nth(2) == Some("-"), line)
    }

    /// The process ends when its task panics, with the cause in its log, and can be
    /// started again.
    fn panic(&self, task: &str) {
        let before = self.log().len();
        self.ask(&format!("panic {task}"));
        let what = format!("{} ends with its task {task}", self.name());
        until(&what, || self.has_ended());
        let log = self.log();
        let cause = format!("the task {task} panicked at ");
        assert!(
            log[before..].contains(&cause),
            "the log doesn't tell the cause, {cause:?}:\n{}",
            &log[before..]
        );
        self.start();
    }

    fn start(&self) {
        // A process that ends has no time to take the command away.
        drop(std::fs::remove_file(self.file("do")));
        self.lab.tool(&format!("start {}", self.name()));
    }
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn any_task_may_panic() {
    let lab = Lab::open();
    if !lab.path("nodes/control-plane/faults").exists() {
        lab.leave_out(
            "panics of tasks",
            "optimised components can't be asked for them (--release)",
        );
        return;
    }
    let workload = Workload::start("panic");
    let before = workload.identity();
    let mut failed = Vec::new();
    for &(process, host) in COMPONENTS {
        let component = Component {
            lab: &lab,
            process,
            host,
        };
        let _back = defer(|| drop(lab.try_tool(&format!("start {}", component.name()))));
        let tasks = component.tasks();
        assert!(!tasks.is_empty(), "{process} has no tasks");
        eprintln!("   {process}: {}", tasks.join(", "));
        for task in &tasks {
            if catch_unwind(AssertUnwindSafe(|| component.panic(task))).is_err() {
                failed.push(format!("{process}: {task}"));
                component.start();
            }
        }
        workload.works(process);
        assert_eq!(workload.identity(), before, "pods are as they were");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
