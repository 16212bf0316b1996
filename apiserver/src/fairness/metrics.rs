//! Metrics of priority and fairness, under Kubernetes' names.

use crate::metrics::{counter, gauge, histogram_of};
use hardway_fairness::{Limits, Refusal, Stats};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts,
};
use std::sync::LazyLock;
use std::time::Duration;

const BOTH: &[&str] = &["priority_level", "flow_schema"];
const LEVEL: &[&str] = &["priority_level"];
const SECONDS: &[f64] = &[
    0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
];

macro_rules! metrics {
    ($($name:ident: $kind:ty = $make:expr;)*) => {
        $(static $name: LazyLock<$kind> = LazyLock::new(|| $make);)*
    };
}

fn floats(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    let metric =
        GaugeVec::new(Opts::new(name, help), labels).expect("the name and labels are well-formed");
    // Registering twice is the only way to fail, and each is made once.
    let _ = prometheus::register(Box::new(metric.clone()));
    metric
}

metrics! {
    REJECTED: IntCounterVec = counter(
        "apiserver_flowcontrol_rejected_requests_total",
        "Requests that got no seat.",
        &["priority_level", "flow_schema", "reason"],
    );
    DISPATCHED: IntCounterVec = counter(
        "apiserver_flowcontrol_dispatched_requests_total",
        "Requests that got their seats.",
        BOTH,
    );
    INQUEUE: IntGaugeVec = gauge(
        "apiserver_flowcontrol_current_inqueue_requests",
        "Requests that wait.",
        BOTH,
    );
    EXECUTING: IntGaugeVec = gauge(
        "apiserver_flowcontrol_current_executing_requests",
        "Requests that are executed.",
        BOTH,
    );
    SEATS: IntGaugeVec = gauge(
        "apiserver_flowcontrol_current_executing_seats",
        "Seats of requests that are executed.",
        BOTH,
    );
    WAIT: HistogramVec = histogram_of(
        "apiserver_flowcontrol_request_wait_duration_seconds",
        "How long requests waited for their seats.",
        &["priority_level", "flow_schema", "execute"],
        SECONDS,
    );
    EXECUTION: HistogramVec = histogram_of(
        "apiserver_flowcontrol_request_execution_seconds",
        "How long requests had their seats; a watch has one until it has begun.",
        &["priority_level", "flow_schema", "type"],
        SECONDS,
    );
    ESTIMATED: HistogramVec = histogram_of(
        "apiserver_flowcontrol_work_estimated_seats",
        "Seats that requests take.",
        BOTH,
        &[1.0, 2.0, 4.0, 10.0],
    );
    NOMINAL: IntGaugeVec = gauge(
        "apiserver_flowcontrol_nominal_limit_seats",
        "Seats of a level by its share.",
        LEVEL,
    );
    LOWER: IntGaugeVec = gauge(
        "apiserver_flowcontrol_lower_limit_seats",
        "Seats of a level that has lent all it may.",
        LEVEL,
    );
    UPPER: IntGaugeVec = gauge(
        "apiserver_flowcontrol_upper_limit_seats",
        "Seats of a level that has borrowed all it may.",
        LEVEL,
    );
    CURRENT: IntGaugeVec = gauge(
        "apiserver_flowcontrol_current_limit_seats",
        "Seats of a level now.",
        LEVEL,
    );
    HIGH_WATERMARK: GaugeVec = floats(
        "apiserver_flowcontrol_demand_seats_high_watermark",
        "The most seats asked for at a time, over the last period.",
        LEVEL,
    );
    AVERAGE: GaugeVec = floats(
        "apiserver_flowcontrol_demand_seats_average",
        "Seats asked for, on average over the last period.",
        LEVEL,
    );
    DEVIATION: GaugeVec = floats(
        "apiserver_flowcontrol_demand_seats_stdev",
        "The deviation of the seats asked for, over the last period.",
        LEVEL,
    );
    SMOOTHED: GaugeVec = floats(
        "apiserver_flowcontrol_demand_seats_smoothed",
        "Seats asked for, forgotten slowly.",
        LEVEL,
    );
    TARGET: GaugeVec = floats(
        "apiserver_flowcontrol_target_seats",
        "Seats that a level should have by its demand.",
        LEVEL,
    );
    FAIR_FRACTION: Gauge = {
        let metric = Gauge::new(
            "apiserver_flowcontrol_seat_fair_frac",
            "The part of its target that a level gets which meets no bound.",
        )
        .expect("the name is well-formed");
        let _ = prometheus::register(Box::new(metric.clone()));
        metric
    };
}

/// A schema's own metrics, found once.
pub(super) struct Counted {
    /// Level and schema.
    pub names: [String; 2],
    dispatched: IntCounter,
    inqueue: IntGauge,
    executing: IntGauge,
    seats: IntGauge,
    waited: Histogram,
    waited_in_vain: Histogram,
    regular: Histogram,
    watch: Histogram,
    estimated: Histogram,
}

impl Counted {
    pub fn new(level: &str, schema: &str) -> Self {
        let both = &[level, schema];
        Self {
            names: [level.into(), schema.into()],
            dispatched: DISPATCHED.with_label_values(both),
            inqueue: INQUEUE.with_label_values(both),
            executing: EXECUTING.with_label_values(both),
            seats: SEATS.with_label_values(both),
            waited: WAIT.with_label_values(&[level, schema, "true"]),
            waited_in_vain: WAIT.with_label_values(&[level, schema, "false"]),
            regular: EXECUTION.with_label_values(&[level, schema, "regular"]),
            watch: EXECUTION.with_label_values(&[level, schema, "watch"]),
            estimated: ESTIMATED.with_label_values(both),
        }
    }

    pub fn rejected(&self, why: Refusal) {
        let [level, schema] = &self.names;
        REJECTED
            .with_label_values(&[level.as_str(), schema, why.as_str()])
            .inc();
    }

    pub fn estimated(&self, seats: usize) {
        self.estimated.observe(seats as f64);
    }

    pub fn queued(&self) {
        self.inqueue.inc();
    }

    pub fn unqueued(&self) {
        self.inqueue.dec();
    }

    pub fn waited(&self, time: Duration, executes: bool) {
        match executes {
            true => self.waited.observe(time.as_secs_f64()),
            false => self.waited_in_vain.observe(time.as_secs_f64()),
        }
    }

    pub fn begun(&self, seats: usize) {
        self.dispatched.inc();
        self.executing.inc();
        self.seats.add(seats as i64);
    }

    pub fn ended(&self, seats: usize, time: Duration, watching: bool) {
        self.executing.dec();
        self.seats.sub(seats as i64);
        match watching {
            true => self.watch.observe(time.as_secs_f64()),
            false => self.regular.observe(time.as_secs_f64()),
        }
    }
}

/// What a level has by its configuration.
pub(super) fn limits(level: &str, limits: Limits) {
    NOMINAL
        .with_label_values(&[level])
        .set(limits.nominal as i64);
    LOWER.with_label_values(&[level]).set(limits.min as i64);
    UPPER.with_label_values(&[level]).set(limits.max as i64);
}

/// What a level has now, and why.
pub(super) fn adjusted(level: &str, stats: &Stats, target: f64, seats: usize) {
    CURRENT.with_label_values(&[level]).set(seats as i64);
    HIGH_WATERMARK
        .with_label_values(&[level])
        .set(stats.seen.max);
    AVERAGE.with_label_values(&[level]).set(stats.seen.average);
    DEVIATION
        .with_label_values(&[level])
        .set(stats.seen.deviation);
    SMOOTHED.with_label_values(&[level]).set(stats.smoothed);
    TARGET.with_label_values(&[level]).set(target);
}

/// The part of its target that a level gets which meets no bound.
pub(super) fn fair_fraction(fraction: f64) {
    FAIR_FRACTION.set(fraction);
}

/// A level is gone.
pub(super) fn forget_level(level: &str) {
    for gauge in [&NOMINAL, &LOWER, &UPPER, &CURRENT] {
        let _ = gauge.remove_label_values(&[level]);
    }
    for gauge in [&HIGH_WATERMARK, &AVERAGE, &DEVIATION, &SMOOTHED, &TARGET] {
        let _ = gauge.remove_label_values(&[level]);
    }
}
