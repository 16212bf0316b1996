//! CronJobs for the tests of this folder. All of it happens on one day.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

/// A time of the first of January 2024, a Monday.
pub fn at(time: &str) -> Timestamp {
    format!("2024-01-01T{time}Z").parse().unwrap()
}

/// A CronJob in the making: every hour.
#[derive(Clone)]
pub struct CronBuilder(Value);

impl CronBuilder {
    /// With nothing special.
    pub fn new() -> Self {
        Self(json!({
            "metadata": {"name": "c", "namespace": "d", "uid": "cron"},
            "spec": {"schedule": "0 * * * *", "concurrencyPolicy": "Allow", "suspend": false,
                "jobTemplate": {"spec": {"template": {}}}},
            "status": {},
        }))
    }

    /// Created at a time.
    pub fn created(mut self, time: &str) -> Self {
        self.0["metadata"]["creationTimestamp"] = json!(at(time).to_string());
        self
    }

    /// Which last had a Job for a time.
    pub fn ran(mut self, time: &str) -> Self {
        self.0["status"]["lastScheduleTime"] = json!(at(time).to_string());
        self
    }

    /// Whose Jobs run.
    pub fn active(mut self, jobs: Value) -> Self {
        self.0["status"]["active"] = jobs;
        self
    }

    /// Whose Jobs may start so many seconds late.
    pub fn deadline(self, seconds: i64) -> Self {
        self.with(json!({"startingDeadlineSeconds": seconds}))
    }

    /// With other fields in its spec.
    pub fn with(mut self, spec: Value) -> Self {
        for (field, value) in spec.as_object().unwrap() {
            self.0["spec"][field] = value.clone();
        }
        self
    }

    /// Being deleted.
    pub fn leaving(mut self) -> Self {
        self.0["metadata"]["deletionTimestamp"] = json!(at("10:00:00").to_string());
        self
    }

    /// The CronJob.
    pub fn build(self) -> CronJob {
        serde_json::from_value(self.0).unwrap()
    }
}
