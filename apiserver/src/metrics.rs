//! Metrics, under Kubernetes' names.

pub(crate) mod cel;
pub(crate) mod match_conditions;

use hardway_access::admission::Turn;
use hardway_access::audit;
use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
};
use std::sync::LazyLock;
use std::time::Duration;

const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

fn histogram(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    histogram_of(name, help, labels, SECONDS)
}

/// A histogram with these buckets.
pub(crate) fn histogram_of(
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let metric = HistogramVec::new(options, labels).expect("the name and labels are well-formed");
    // Registering twice is the only way to fail, and each is made once.
    let _ = prometheus::register(Box::new(metric.clone()));
    metric
}

/// A counter.
pub(crate) fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let metric = IntCounterVec::new(Opts::new(name, help), labels)
        .expect("the name and labels are well-formed");
    let _ = prometheus::register(Box::new(metric.clone()));
    metric
}

/// A gauge.
pub(crate) fn gauge(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels)
        .expect("the name and labels are well-formed");
    let _ = prometheus::register(Box::new(metric.clone()));
    metric
}

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_request_total",
        "Requests by verb, resource and answer.",
        &[
            "verb",
            "group",
            "version",
            "resource",
            "subresource",
            "scope",
            "code",
        ],
    )
});
static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "apiserver_request_duration_seconds",
        "How long requests take, watches excepted.",
        &[
            "verb",
            "group",
            "version",
            "resource",
            "subresource",
            "scope",
        ],
    )
});
static OUTDATED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_requested_deprecated_apis",
        "Old versions that were asked for, and the release of Kubernetes that removed them.",
        &[
            "group",
            "version",
            "resource",
            "subresource",
            "removed_release",
        ],
    )
});
static AUDIT_EVENTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_audit_event_total",
        "Audit events handed to the audit log.",
        &[],
    )
});
static AUDIT_ERRORS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_audit_error_total",
        "Audit events that are not in the log: not written, or too many for the queue.",
        &["plugin"],
    )
});
static AUDIT_REJECTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_audit_requests_rejected_total",
        "Requests refused because no audit event could be written.",
        &[],
    )
});
static INFLIGHT: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_current_inflight_requests",
        "Requests being worked on.",
        &["request_kind"],
    )
});
static LONG_RUNNING: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_longrunning_requests",
        "Watches and streams that are open.",
        &["verb"],
    )
});
static ETCD: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "etcd_request_duration_seconds",
        "How long requests to etcd take.",
        &["operation"],
    )
});
static ETCD_ERRORS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "etcd_request_errors_total",
        "Requests to etcd that failed.",
        &["operation"],
    )
});
static OBJECTS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_storage_objects",
        "Objects stored, by resource.",
        &["resource"],
    )
});
static TRANSFORMATIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_storage_transformation_operations_total",
        "Stored values encrypted and decrypted, by what is configured for the resource.",
        &[
            "resource",
            "transformation_type",
            "transformer_prefix",
            "status",
        ],
    )
});
static RELOADS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "apiserver_encryption_config_controller_automatic_reloads_total",
        "Changes of the encryption configuration that were put into effect, or refused.",
        &["status"],
    )
});
static RELOADED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds",
        "When the encryption configuration last changed.",
        &["status"],
    )
});

static CONFIGURATION: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "apiserver_encryption_config_controller_last_config_info",
        "Which encryption configuration is in effect: the SHA-256 of its file.",
        &["hash"],
    )
});
static FORMER_CLIENTS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "hardway_apiserver_former_ca_last_request_timestamp_seconds",
        "When a user last showed a certificate of a CA (by its key id) that doesn't sign any more.",
        &["user", "authority"],
    )
});
static TOKEN_KEYS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge(
        "hardway_apiserver_service_account_key_last_use_timestamp_seconds",
        "When somebody last showed a token that is signed with a key (by its id).",
        &["key"],
    )
});

static ADMISSION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_admission_step_admission_duration_seconds",
        "How long the phases of admission take.",
        &["type", "operation", "rejected"],
        &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5],
    )
});

static ADMISSION_CONTROLLER: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_of(
        "apiserver_admission_controller_admission_duration_seconds",
        "How long admission plugins take, by name.",
        &["name", "type", "operation", "rejected"],
        &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5],
    )
});

/// One request, as the metrics tell it apart.
pub struct Labels<'a> {
    /// As RBAC names it, in capitals.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// `cluster`, `namespace` or `resource`.
    pub scope: &'a str,
}

/// Notes that somebody asked for a version of years ago.
pub fn outdated(group: &str, version: &str, resource: &str, subresource: &str, removed: &str) {
    OUTDATED
        .with_label_values(&[group, version, resource, subresource, removed])
        .set(1);
}

/// A request was answered.
pub fn request(labels: &Labels, code: u16, took: Option<Duration>) {
    let Labels {
        verb,
        group,
        version,
        resource,
        subresource,
        scope,
    } = *labels;
    REQUESTS
        .with_label_values(&[
            verb,
            group,
            version,
            resource,
            subresource,
            scope,
            &code.to_string(),
        ])
        .inc();
    if let Some(took) = took {
        DURATION
            .with_label_values(&[verb, group, version, resource, subresource, scope])
            .observe(took.as_secs_f64());
    }
}

/// A phase of admission (`admit` or `validate`) is over, in which these had a turn.
pub fn admission(phase: &str, operation: &str, rejected: bool, took: Duration, turns: &[Turn]) {
    let text = |rejected| if rejected { "true" } else { "false" };
    ADMISSION
        .with_label_values(&[phase, operation, text(rejected)])
        .observe(took.as_secs_f64());
    for turn in turns {
        ADMISSION_CONTROLLER
            .with_label_values(&[turn.plugin, phase, operation, text(turn.rejected)])
            .observe(turn.took.as_secs_f64());
    }
}

/// So many requests of a kind are being worked on.
pub fn inflight(kind: &str, count: usize) {
    INFLIGHT.with_label_values(&[kind]).set(count as i64);
}

/// Counts something long-running until it is dropped.
pub struct LongRunning(&'static str);

/// A watch or stream begins.
pub fn long_running(verb: &'static str) -> LongRunning {
    LONG_RUNNING.with_label_values(&[verb]).inc();
    LongRunning(verb)
}

impl Drop for LongRunning {
    fn drop(&mut self) {
        LONG_RUNNING.with_label_values(&[self.0]).dec();
    }
}

/// etcd answered.
pub fn etcd_request(operation: &str, took: Duration, well: bool) {
    let histogram: Histogram = ETCD.with_label_values(&[operation]);
    histogram.observe(took.as_secs_f64());
    if !well {
        ETCD_ERRORS.with_label_values(&[operation]).inc();
    }
}

/// So many objects of a resource are stored.
pub fn objects(resource: &str, count: usize) {
    OBJECTS.with_label_values(&[resource]).set(count as i64);
}

/// What became of audit events; the audit log counts them itself.
pub fn audit(counts: &audit::Counts) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let raise = |counter: IntCounter, to: u64| counter.inc_by(to.saturating_sub(counter.get()));
    raise(AUDIT_EVENTS.with_label_values::<&str>(&[]), counts.events());
    raise(AUDIT_ERRORS.with_label_values(&["log"]), counts.failed());
    raise(AUDIT_ERRORS.with_label_values(&["buffered"]), counts.lost());
    raise(
        AUDIT_REJECTED.with_label_values::<&str>(&[]),
        counts.rejected(),
    );
}

/// A value was encrypted or decrypted.
pub fn transformation(direction: &str, resource: &str, prefix: &str, well: bool) {
    let status = if well { "OK" } else { "unknown-non-grpc" };
    TRANSFORMATIONS
        .with_label_values(&[resource, direction, prefix, status])
        .inc();
}

/// The encryption configuration has changed, for better or worse.
pub fn encryption_reload(well: bool) {
    let status = if well { "success" } else { "failure" };
    RELOADS.with_label_values(&[status]).inc();
    let now = jiff::Timestamp::now().as_second();
    RELOADED.with_label_values(&[status]).set(now);
}

/// The encryption configuration with this digest is in effect.
pub fn encryption_configuration(digest: &[u8]) {
    CONFIGURATION.reset();
    let hash = format!("sha256:{}", hex(digest));
    CONFIGURATION.with_label_values(&[&hash]).set(1);
}

/// A user has shown a certificate of an authority that doesn't sign any more.
pub fn former_client(user: &str, authority: &[u8]) {
    let now = jiff::Timestamp::now().as_second();
    let gauge = FORMER_CLIENTS.with_label_values(&[user, &hex(authority)]);
    gauge.set(now);
}

/// Another authority signs: who is of a former one is noted from now on.
pub fn forget_former_clients() {
    FORMER_CLIENTS.reset();
}

/// Somebody has shown a token that is signed with this key.
pub fn token_key_used(key: &str) {
    let now = jiff::Timestamp::now().as_second();
    TOKEN_KEYS.with_label_values(&[key]).set(now);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
