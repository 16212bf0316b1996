//! CronJobs by a clock that is set: informers, queue and workers are the real ones, and hear
//! of it as they hear of the kernel's.

use super::*;
use crate::context::Settings;
use hardway_client::clock;
use hardway_client::fake::Fake;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What the clock shows; it stands between two settings.
static SHOWN: Mutex<Timestamp> = Mutex::new(Timestamp::UNIX_EPOCH);

/// How often the controller has looked at it.
static LOOKS: LazyLock<watch::Sender<u64>> = LazyLock::new(Default::default);

fn look() -> Timestamp {
    LOOKS.send_modify(|looks| *looks += 1);
    *SHOWN.lock()
}

/// Has the controller hear that the clock was set, and waits until it has looked at it.
async fn heard_and_looked() {
    let mut looks = LOOKS.subscribe();
    let before = *looks.borrow_and_update();
    clock::pretend_change();
    let looked = looks.wait_for(|looks| *looks > before);
    let looked = tokio::time::timeout(Duration::from_secs(60), looked).await;
    looked.expect("it looks at the clock").unwrap();
}

struct Cluster {
    fake: Fake,
    controller: AbortHandle,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

impl Cluster {
    /// One CronJob, and a controller that has looked at it.
    async fn start(now: &str, spec: Value) -> Self {
        *SHOWN.lock() = now.parse().unwrap();
        let (fake, client) = Fake::start(Vec::new());
        let mut whole = json!({"jobTemplate": {"spec": {"template": {}}},
            "concurrencyPolicy": "Allow", "suspend": false});
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let metadata = json!({"name": "c", "namespace": "d", "creationTimestamp": now});
        let cron = json!({"metadata": metadata, "spec": whole, "status": {}});
        fake.create("batch", "cronjobs", cron);
        let context = Context {
            client: client.clone(),
            settings: Settings::default().into(),
        };
        let mut informers = Informers::new(&client);
        let work = register_by(&mut informers, &context, look);
        informers.cron_jobs.spawn();
        informers.jobs.spawn();
        let before = *LOOKS.borrow();
        let controller = tokio::spawn(work).abort_handle();
        let mut looks = LOOKS.subscribe();
        looks.wait_for(|looks| *looks > before).await.unwrap();
        Self { fake, controller }
    }

    /// The clock is set; what comes of it are so many Jobs in all, the last one for this time.
    async fn set(&self, now: &str, jobs: usize, last: &str) {
        *SHOWN.lock() = now.parse().unwrap();
        heard_and_looked().await;
        // When it looks again, it has done what came of the first look.
        heard_and_looked().await;
        let minute = |job: &Value| -> i64 {
            let name = job["metadata"]["name"].as_str().unwrap();
            name.trim_start_matches("c-").parse().unwrap()
        };
        let known = self.fake.objects("batch", "jobs");
        let known: Vec<i64> = known.iter().map(minute).collect();
        let last: Option<Timestamp> = (!last.is_empty()).then(|| last.parse().unwrap());
        let latest = known.iter().max().map(|minute| minute * 60);
        assert_eq!(
            (known.len(), latest),
            (jobs, last.map(Timestamp::as_second)),
            "{now}"
        );
    }
}

/// The clock is one for all: so this is one test.
#[tokio::test]
async fn each_time_has_one_job_however_the_clock_jumps() {
    let hourly = json!({"schedule": "0 * * * *", "timeZone": "Etc/UTC"});
    let cluster = Cluster::start("2024-01-01T10:30:00Z", hourly).await;
    cluster.set("2024-01-01T10:59:59Z", 0, "").await;
    cluster
        .set("2024-01-01T11:00:01Z", 1, "2024-01-01T11:00:00Z")
        .await;
    // Back, and there again: its time has had its Job.
    cluster
        .set("2024-01-01T09:15:00Z", 1, "2024-01-01T11:00:00Z")
        .await;
    cluster
        .set("2024-01-01T11:00:01Z", 1, "2024-01-01T11:00:00Z")
        .await;
    cluster
        .set("2024-01-01T12:00:00Z", 2, "2024-01-01T12:00:00Z")
        .await;
    // Far ahead: the last time that was missed, and only that.
    cluster
        .set("2024-01-03T07:20:00Z", 3, "2024-01-03T07:00:00Z")
        .await;
    cluster
        .set("2024-01-01T00:00:00Z", 3, "2024-01-03T07:00:00Z")
        .await;
    drop(cluster);

    // What was missed for too long is left out.
    let strict = json!({"schedule": "0 * * * *", "timeZone": "Etc/UTC",
        "startingDeadlineSeconds": 60});
    let cluster = Cluster::start("2024-01-01T10:30:00Z", strict).await;
    cluster.set("2024-01-01T11:05:00Z", 0, "").await;
    cluster
        .set("2024-01-01T12:00:30Z", 1, "2024-01-01T12:00:00Z")
        .await;
    drop(cluster);

    // There is no half past two in the night that summer time begins.
    let nightly = json!({"schedule": "30 2 * * *", "timeZone": "Europe/Berlin"});
    let cluster = Cluster::start("2024-03-30T23:00:00Z", nightly.clone()).await;
    cluster.set("2024-03-31T00:30:01Z", 0, "").await;
    cluster.set("2024-03-31T01:30:01Z", 0, "").await;
    cluster
        .set("2024-04-01T00:30:01Z", 1, "2024-04-01T00:30:00Z")
        .await;
    drop(cluster);

    // When it ends there are two of them.
    let cluster = Cluster::start("2024-10-26T23:00:00Z", nightly).await;
    cluster
        .set("2024-10-27T00:30:01Z", 1, "2024-10-27T00:30:00Z")
        .await;
    cluster
        .set("2024-10-27T01:30:01Z", 2, "2024-10-27T01:30:00Z")
        .await;
    cluster
        .set("2024-10-28T01:30:01Z", 3, "2024-10-28T01:30:00Z")
        .await;
}
