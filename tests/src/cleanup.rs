//! What a test made goes when the test ends, also when it fails.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::kubectl::Kubectl;
use crate::wait;

/// A namespace of a test's own. It is used like a kubectl that works in it.
#[derive(Debug)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    kubectl: Kubectl,
}

impl Namespace {
    /// Makes a namespace in which pods can be created.
    #[track_caller]
    pub fn new(subject: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{subject}-{}-{count}", std::process::id());
        let stock = Kubectl::stock();
        let created = stock.run(&format!("create namespace {name}"));
        assert_eq!(created, format!("namespace/{name} created\n"));
        let made = Self {
            kubectl: stock.namespace(&name),
            name,
        };
        // Pods are refused until there is an account for them.
        wait::until("the namespace has its service account", || {
            made.try_run("get serviceaccount default").ok().map(drop)
        });
        made
    }

    /// Another kubectl in this namespace.
    pub fn by(&self, kubectl: &Kubectl) -> Kubectl {
        kubectl.namespace(&self.name)
    }
}

impl Deref for Namespace {
    type Target = Kubectl;

    fn deref(&self) -> &Kubectl {
        &self.kubectl
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            explain(self);
        }
        let stock = Kubectl::stock();
        // Its ports of nodes are free for others at once, while the rest goes in the
        // background.
        drop(self.try_run("delete services --all"));
        let gone = stock.try_run(&format!("delete namespace {} --wait=false", self.name));
        if !gone.success {
            eprintln!("namespace {} stays behind: {}", self.name, gone.stderr);
        }
    }
}

/// Prints what is in a namespace and what happened there.
pub fn explain(kubectl: &Kubectl) {
    for line in [
        "get pods,services,endpoints -o wide",
        "get events --sort-by=.metadata.creationTimestamp",
    ] {
        let output = kubectl.try_run(line);
        eprintln!("$ kubectl {line}\n{}{}", output.stdout, output.stderr);
    }
}

/// Creates an object that belongs to no namespace, and deletes it when the test ends.
#[track_caller]
pub fn create_global(object: &Value) -> Deferred<impl FnMut() + use<>> {
    Kubectl::stock().create(object);
    let text = |value: &Value| value.as_str().expect("a text").to_lowercase();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let line = format!("delete {kind} {name} --wait=false --ignore-not-found");
    defer(move || drop(Kubectl::stock().try_run(&line)))
}

/// Does something when the test ends.
#[must_use]
pub fn defer<F: FnMut()>(work: F) -> Deferred<F> {
    Deferred(work)
}

/// Work for the end of a test.
pub struct Deferred<F: FnMut()>(F);

impl<F: FnMut()> Drop for Deferred<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
