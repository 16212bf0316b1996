//! Measuring one thing: from when it begins until it has been done often enough.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::api::ApiError;
use crate::latency::Latencies;
use crate::process::{Sampler, Snapshot};
use crate::progress::Bar;
use crate::report::Measurement;

/// So many broken promises are shown in full: the first ones say what is wrong.
const SHOWN: usize = 10;

/// A measurement that goes on. Tasks share it.
pub struct Measuring {
    workload: &'static str,
    name: String,
    sampler: Sampler,
    before: Snapshot,
    began: Instant,
    bar: Bar,
    samples: Mutex<Samples>,
}

#[derive(Default)]
struct Samples {
    latencies: Latencies,
    failures: BTreeMap<String, u64>,
    bytes: u64,
    violations: Vec<String>,
    hidden: usize,
    figures: BTreeMap<String, f64>,
    notes: Vec<String>,
}

impl Measuring {
    pub(crate) fn begin(workload: &'static str, name: String, sampler: Sampler, bar: Bar) -> Self {
        Self {
            workload,
            name,
            before: sampler.take(),
            sampler,
            began: Instant::now(),
            bar,
            samples: Mutex::default(),
        }
    }

    /// One was done.
    pub fn done(&self, latency: Duration) {
        self.samples.lock().latencies.record(latency);
        self.bar.advance();
    }

    /// One was not done.
    pub fn failed(&self, error: &ApiError) {
        let mut samples = self.samples.lock();
        let count = samples.failures.entry(error.sort()).or_default();
        *count += 1;
        if *count == 1 {
            samples.notes.push(error.to_string());
        }
        drop(samples);
        self.bar.advance();
    }

    /// What came of one.
    pub fn took<T>(&self, latency: Duration, result: Result<T, ApiError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.done(latency);
                Some(value)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// Bytes were received.
    pub fn received(&self, bytes: usize) {
        self.samples.lock().bytes += bytes as u64;
    }

    /// A promise of Kubernetes' API was broken.
    pub fn violation(&self, what: String) {
        let mut samples = self.samples.lock();
        match samples.violations.len() < SHOWN {
            true => samples.violations.push(what),
            false => samples.hidden += 1,
        }
    }

    /// Another figure; its name has the unit.
    pub fn figure(&self, name: &str, value: f64) {
        self.samples.lock().figures.insert(name.to_owned(), value);
    }

    /// What has to be known with it.
    pub fn note(&self, note: impl Into<String>) {
        self.samples.lock().notes.push(note.into());
    }

    /// How long it goes on.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// It is over.
    pub fn finish(&self) -> Measurement {
        let seconds = self.began.elapsed().as_secs_f64();
        let processes = self.sampler.take().since(&self.before);
        self.bar.end();
        let samples = std::mem::take(&mut *self.samples.lock());
        let mut violations = samples.violations;
        if samples.hidden > 0 {
            violations.push(format!("… and {} more", samples.hidden));
        }
        Measurement {
            workload: self.workload.to_owned(),
            name: self.name.clone(),
            operations: samples.latencies.len(),
            seconds,
            bytes: samples.bytes,
            failures: samples.failures,
            latency: samples.latencies.percentiles(),
            processes,
            violations,
            figures: samples.figures,
            notes: samples.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;

    fn measuring() -> Measuring {
        let bar = Progress::hidden().bar("create pods", 3);
        Measuring::begin("create", "create pods".to_owned(), Sampler::default(), bar)
    }

    #[test]
    fn what_failed_is_counted_by_sort_and_is_no_operation() {
        let measuring = measuring();
        measuring.took(Duration::from_millis(2), Ok(()));
        for _ in 0..2 {
            let error = ApiError::Broken {
                call: "POST /x".to_owned(),
                why: "reset".to_owned(),
            };
            measuring.took::<()>(Duration::from_millis(9), Err(error));
        }
        let measured = measuring.finish();
        assert_eq!((measured.operations, measured.failed()), (1, 2));
        assert_eq!(measured.failures["no answer"], 2);
        assert_eq!(measured.notes, ["POST /x: reset"]);
        assert!(measured.latency.unwrap().max < 3.0);
    }

    #[test]
    fn of_many_violations_the_first_are_shown() {
        let measuring = measuring();
        for number in 0..SHOWN + 5 {
            measuring.violation(format!("{number} is missing"));
        }
        let violations = measuring.finish().violations;
        assert_eq!(violations.len(), SHOWN + 1);
        assert_eq!(violations.last().unwrap(), "… and 5 more");
    }
}
