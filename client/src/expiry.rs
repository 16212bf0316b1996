//! When the certificates that this process uses end: as metrics at any time,
//! and from 30 days before on (sooner for those that live shorter) as warnings
//! in the log and in `/readyz`.
//!
//! Files are read when somebody wants to know, twice a day, and when the clock
//! was set: whoever has renewed them, what counts is what is there now.

use crate::clock;
use crate::kubeconfig::{Credentials, Kubeconfig, Pem};
use crate::metrics::{IntGauge, IntGaugeVec, Opts};
use crate::serving::Validity;
use crate::{tls, vital};
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;
/// How long before the end it is warned of.
const NOTICE: i64 = 30 * DAY;
/// A certificate that is renewed in time is renewed before this part of its
/// life is left, as a divisor.
const LATE: i64 = 4;
/// How often the log is warned.
const LOOK: Duration = Duration::from_secs(12 * 3600);

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To show who the process is.
    Client,
    /// To serve with.
    Serving,
}

impl Use {
    fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Serving => "serving",
        }
    }
}

static ALL: Mutex<Vec<(Use, Pem)>> = Mutex::new(Vec::new());

/// Started with the first certificate.
static WATCH: LazyLock<()> = LazyLock::new(|| {
    let opts = Opts::new(
        "hardway_certificate_expiration_timestamp_seconds",
        "When a certificate that this process uses ends, in seconds since 1970.",
    );
    let gauge = IntGaugeVec::new(opts, &["use", "file"]).expect("its name and labels are valid");
    prometheus::register(Box::new(Ends(gauge))).expect("the name is registered once");
    vital::runtime().spawn(async {
        let mut changes = clock::Changes::new();
        loop {
            for (file, stage) in stages() {
                match stage {
                    Stage::Good => {}
                    Stage::Ends(_) => tracing::warn!(file, "the certificate {stage}"),
                    Stage::Over => tracing::error!(file, "the certificate {stage}"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = changes.next() => {}
            }
        }
    });
});

/// Watches a certificate from now on.
pub fn watch(usage: Use, certificate: &Pem) {
    let entry = (usage, certificate.clone());
    let mut all = ALL.lock();
    if !all.contains(&entry) {
        all.push(entry);
    }
    drop(all);
    LazyLock::force(&WATCH);
}

/// Watches the certificate of a kubeconfig, if it has one.
pub fn watch_client(config: &Kubeconfig) {
    if let Credentials::Certificate { certificate, .. } = &config.credentials {
        watch(Use::Client, certificate);
    }
}

/// Shows how many seconds a use's certificate has left also under a name that
/// Kubernetes has for it.
///
/// # Panics
/// If there is a metric of this name.
pub fn also_as(name: &str, help: &str, usage: Use) {
    let gauge = IntGauge::new(name, help).expect("the name is valid");
    let left = Remaining { gauge, usage };
    prometheus::register(Box::new(left)).expect("the name is registered once");
}

/// Lines for a verbose health report, each starting with `[!]`. Empty if no
/// certificate nears its end.
pub fn report() -> String {
    let late = stages()
        .into_iter()
        .filter(|(_, stage)| *stage != Stage::Good);
    late.map(|(file, stage)| format!("[!]certificate {file} {stage}\n"))
        .collect()
}

/// How far a certificate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Good,
    /// In so many seconds.
    Ends(i64),
    Over,
}

impl Stage {
    fn at(now: i64, validity: Validity) -> Self {
        let left = validity.ends() - now;
        let life = validity.ends().saturating_sub(validity.begins());
        match left {
            ..0 => Self::Over,
            _ if left < NOTICE.min(life / LATE) => Self::Ends(left),
            _ => Self::Good,
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good => write!(f, "is good"),
            Self::Ends(left) if *left >= 2 * DAY => write!(f, "ends in {} days", left / DAY),
            Self::Ends(left) if *left >= 7200 => write!(f, "ends in {} hours", left / 3600),
            Self::Ends(left) => write!(f, "ends in {} minutes", left / 60),
            Self::Over => write!(f, "has expired"),
        }?;
        match self {
            Self::Good => Ok(()),
            _ => write!(f, "; renew it: a new file is used without a restart"),
        }
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}

/// Uses, names without their folders, and validities; those that can't be read
/// are told of by who uses them.
fn all() -> Vec<(Use, String, Validity)> {
    let known = ALL.lock().clone();
    let validities = known.into_iter().filter_map(|(usage, pem)| {
        let chain = tls::certificates(&pem.read().ok()?).ok()?;
        let name = match &pem {
            Pem::File(path) => path.file_name()?.to_string_lossy().into_owned(),
            Pem::Inline(_) => "kubeconfig".to_owned(),
        };
        Some((usage, name, Validity::of(&chain)?))
    });
    validities.collect()
}

fn stages() -> Vec<(String, Stage)> {
    let now = now();
    let stage = |(_, name, validity)| (name, Stage::at(now, validity));
    all().into_iter().map(stage).collect()
}

/// Reads the files whenever metrics are asked for.
struct Ends(IntGaugeVec);

impl Collector for Ends {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.reset();
        for (usage, name, validity) in all() {
            let gauge = self.0.with_label_values(&[usage.as_str(), &name]);
            gauge.set(validity.ends());
        }
        self.0.collect()
    }
}

struct Remaining {
    gauge: IntGauge,
    usage: Use,
}

impl Collector for Remaining {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let own = all().into_iter().filter(|(usage, ..)| *usage == self.usage);
        let Some(first) = own.map(|(_, _, validity)| validity.ends()).min() else {
            return Vec::new();
        };
        self.gauge.set(first - now());
        self.gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn pem(from: i64, to: i64) -> String {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        let time = |seconds: i64| (UNIX_EPOCH + Duration::from_secs(seconds as u64)).into();
        (params.not_before, params.not_after) = (time(from), time(to));
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    fn validity(from: i64, to: i64) -> Validity {
        Validity::of(&tls::certificates(pem(from, to).as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn it_is_warned_of_thirty_days_before_or_when_renewal_is_late() {
        let year = validity(0, 365 * DAY);
        assert_eq!(Stage::at(300 * DAY, year), Stage::Good);
        assert_eq!(Stage::at(336 * DAY, year), Stage::Ends(29 * DAY));
        assert_eq!(Stage::at(366 * DAY, year), Stage::Over);
        // Renewed at two thirds: nothing to tell before.
        let brief = validity(0, 600);
        assert_eq!(Stage::at(420, brief), Stage::Good);
        assert_eq!(Stage::at(500, brief), Stage::Ends(100));
        let text = |stage: Stage| stage.to_string();
        assert!(text(Stage::Ends(29 * DAY)).starts_with("ends in 29 days; renew"));
        assert!(text(Stage::Ends(3 * 3600)).starts_with("ends in 3 hours;"));
        assert!(text(Stage::Over).starts_with("has expired;"));
    }

    #[test]
    fn files_are_read_as_they_are_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("expiry-test.crt");
        let today = now();
        std::fs::write(&path, pem(today - 355 * DAY, today + 10 * DAY + 60)).unwrap();
        watch(Use::Serving, &Pem::File(path.clone()));
        watch(Use::Serving, &Pem::File(path.clone()));
        let told = || {
            let report = report();
            let lines = report
                .lines()
                .filter(|line| line.contains("expiry-test.crt"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let lines = told();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("[!]certificate expiry-test.crt ends in 10 days;"));
        also_as("expiry_test_ttl_seconds", "For a test.", Use::Serving);
        let rendered = || String::from_utf8(crate::metrics::render()).unwrap();
        let shows = |text: &str, part: &str| text.lines().any(|line| line.contains(part));
        let end = today + 10 * DAY + 60;
        let metric = |end: i64| {
            format!(
                "hardway_certificate_expiration_timestamp_seconds{{file=\"expiry-test.crt\",use=\"serving\"}} {end}"
            )
        };
        let text = rendered();
        assert!(shows(&text, &metric(end)), "{text}");
        assert!(shows(&text, "expiry_test_ttl_seconds 8640"), "{text}");

        std::fs::write(&path, pem(today, today + 365 * DAY)).unwrap();
        assert!(told().is_empty(), "it was renewed");
        assert!(shows(&rendered(), &metric(today + 365 * DAY)));
    }
}
