//! One `grep` tells a story: a request has the same name in the log of who sends it,
//! in the apiserver's log, in the audit log, and in the answer.

#[path = "integration/common/mod.rs"]
mod common;

use bytes::Bytes;
use common::{Lab, MAPS, config_map};
use hardway_client::{Client, trace};
use http::Method;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// The log of this process, in which both ends of the connection are.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(
                "info,hardway_client=debug,hardway_apiserver=debug",
            ))
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        let all = String::from_utf8(self.0.lock().clone()).unwrap();
        let found = all.lines().filter(|line| line.contains(text));
        found.map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_has_one_name_everywhere() {
    let log = Log::start();
    let mut lab = Lab::start().await;
    let audit = lab.dir.path().join("audit.log");
    lab.flags
        .push(format!("--audit-log-path={}", audit.display()));
    lab.serve().await;
    let audited = |id: &str| {
        let mut events = common::audit_events(&audit).into_iter();
        events.find(|event| event["auditID"].as_str().unwrap().starts_with(id))
    };

    // A component's call, made for a reason.
    let client = Client::new(&lab.kubeconfig(), "test").unwrap();
    let maps = client.dynamic("", "v1", "configmaps", "default");
    let json = config_map("a").to_string().into_bytes();
    trace::scope("why-1".to_owned(), maps.create("", "", json))
        .await
        .unwrap();
    lab.until("the audit log tells", async || audited("why-1.").is_some())
        .await;
    let event = audited("why-1.").unwrap();
    assert_eq!(
        (&event["verb"], &event["objectRef"]["resource"]),
        (&"create".into(), &"configmaps".into())
    );
    let id = event["auditID"].as_str().unwrap();
    lab.until("both ends have written into the log", async || {
        let told = log.lines_with(id);
        let by = |part: &str| told.iter().any(|line| line.contains(part));
        by("hardway_client::trace") && by("hardway_apiserver::trace")
    })
    .await;
    let told = log.lines_with(id);
    let by = |part: &str| told.iter().find(|line| line.contains(part));
    assert!(by("hardway_client::trace").is_some(), "{told:?}");
    let served = by("hardway_apiserver::trace").unwrap_or_else(|| panic!("{told:?}"));
    for part in [
        "user=\"admin\"",
        "verb=\"create\"",
        "resource=\"configmaps\"",
        "answered",
    ] {
        assert!(served.contains(part), "{served}");
    }

    // A REST client learns the name from the answer.
    let admin = lab.acting("admin");
    let answer = lab
        .try_call_as(
            &admin,
            Method::GET,
            &format!("{MAPS}/none"),
            "",
            Bytes::new(),
        )
        .await
        .unwrap();
    let id = answer.headers()["audit-id"].to_str().unwrap().to_owned();
    lab.until("the audit log tells", async || audited(&id).is_some())
        .await;
    assert_eq!(audited(&id).unwrap()["responseStatus"]["code"], 404);
    lab.until("the log tells", async || {
        let told = log.lines_with(&id);
        told.first().is_some_and(|line| line.contains("refused"))
    })
    .await;
}
