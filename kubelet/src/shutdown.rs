//! The host's shut-down: pods end in time and in order, before the runtime does.
//!
//! Kubernetes asks logind to wait. Here systemd's own order is enough: the
//! kubelet's unit starts after the runtime's and so is stopped before it, and
//! whoever stops a single unit leaves `systemctl is-system-running` at
//! `running`, not `stopping`. Nothing of it needs D-Bus. Periods, order and
//! words are Kubernetes' (`pkg/kubelet/nodeshutdown`).

use crate::admission::Rejection;
use crate::manager::Pods;
use crate::status::Verdict;
use crate::status::writer::Writer;
use crate::{flags, pod};
use hardway_client::systemd;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Priority from which on a pod is critical: that of system-cluster-critical.
const CRITICAL: i32 = 2_000_000_000;
/// How long the apiserver is waited for to hear how pods ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the runtime may take to kill what has not ended in its period: who goes sooner
/// leaves it to systemd, which waits for 90 s.
const KILLING: Duration = Duration::from_secs(3);
/// How long systemd is waited for to say whether the host shuts down. It does much else just
/// then.
const ASKING: Duration = Duration::from_secs(30);

/// How long pods may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    ordinary: Duration,
    critical: Duration,
}

impl Periods {
    /// Of what the flags say; none if pods are left to the system.
    ///
    /// # Errors
    /// In Kubernetes' words, if they make no sense together.
    pub fn new(all: Duration, critical: Duration) -> Result<Option<Self>, String> {
        const SECOND: Duration = Duration::from_secs(1);
        let named = [
            ("--shutdown-grace-period", all),
            ("--shutdown-grace-period-critical-pods", critical),
        ];
        for (flag, period) in named {
            if !period.is_zero() && period < SECOND {
                return Err(format!(
                    "{flag} {period:?} must be either zero or otherwise >= 1 sec"
                ));
            }
        }
        if critical > all {
            return Err(format!(
                "--shutdown-grace-period-critical-pods {critical:?} must be <= --shutdown-grace-period {all:?}"
            ));
        }
        let ordinary = all - critical;
        Ok((!all.is_zero()).then_some(Self { ordinary, critical }))
    }
}

/// Whether the host shuts down; clones share it.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// Whether it does.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it does.
    pub async fn begun(&self) {
        // The sender lives in here.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }

    fn begin(&self) {
        self.0.send_replace(true);
    }
}

/// Pods that end together.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    period: Duration,
    /// UIDs, and seconds each has.
    pods: Vec<(String, i64)>,
}

/// Ordinary pods first, those that the node needs last. None has longer than
/// its group, and none longer than it asks for.
fn groups(pods: &[Arc<Pod>], periods: Periods) -> [Group; 2] {
    let group = |period: Duration, is_critical: bool| {
        let seconds = i64::try_from(period.as_secs()).unwrap_or(i64::MAX);
        let chosen = pods.iter().filter(|pod| {
            let priority = pod::spec(pod).priority.unwrap_or(0);
            (priority >= CRITICAL) == is_critical
        });
        let pods = chosen.map(|pod| {
            let grace = pod::grace_period(pod).min(seconds);
            (pod.uid().to_owned(), grace)
        });
        Group {
            period,
            pods: pods.collect(),
        }
    };
    [
        group(periods.ordinary, false),
        group(periods.critical, true),
    ]
}

/// What becomes of a pod that comes now.
pub fn rejection() -> Rejection {
    let message = "Pod was rejected as the node is shutting down.";
    Rejection::new("NodeShutdown", message.into())
}

/// What becomes of a pod that runs.
fn verdict() -> Verdict {
    Verdict {
        reason: "Terminated".into(),
        message: "Pod was terminated in response to imminent node shutdown.".into(),
        rejected: false,
        disruption: true,
    }
}

/// Ends all pods, as long as that may take, and lets the apiserver know.
pub async fn run(shutdown: &Shutdown, periods: Periods, pods: &Pods, statuses: &Writer) {
    tracing::info!("the host shuts down: pods end");
    end(shutdown, periods, pods).await;
    let told = tokio::time::timeout(LAST_WORDS, statuses.settled()).await;
    if told.is_err() {
        tracing::warn!("the apiserver was not told how all pods ended");
    }
}

/// Ends all pods; takes no new ones from now on.
pub async fn end(shutdown: &Shutdown, periods: Periods, pods: &Pods) {
    shutdown.begin();
    for group in groups(&pods.active(), periods) {
        if group.pods.is_empty() {
            continue;
        }
        let (count, period) = (group.pods.len(), group.period);
        let text = format!("ends {count} pods, for {period:?} at most");
        systemd::status(&text, period + LAST_WORDS * 2);
        let ends = group.pods.iter().map(|(uid, grace)| {
            let ended = pods.terminate(uid, *grace, verdict());
            async move {
                if let Some(ended) = ended {
                    ended.await;
                }
            }
        });
        let all = futures_util::future::join_all(ends);
        match tokio::time::timeout(period + KILLING, all).await {
            Ok(_) => tracing::info!(pods = count, "pods have ended"),
            Err(_) => tracing::warn!(pods = count, ?period, "pods have not ended in time"),
        }
    }
}

/// Whether systemd says that the host shuts down, or reboots.
pub async fn is_system_stopping() -> bool {
    let tool = tokio::process::Command::new("systemctl")
        .arg("is-system-running")
        .output();
    match tokio::time::timeout(ASKING, tool).await {
        Ok(Ok(output)) => says_stopping(&output.stdout),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no systemctl: nobody says that the host shuts down");
            false
        }
        Err(_) => {
            tracing::warn!(
                "systemd doesn't say within {ASKING:?} whether the host shuts down: pods go on"
            );
            false
        }
    }
}

fn says_stopping(output: &[u8]) -> bool {
    output.trim_ascii() == b"stopping"
}

/// The periods of the flags.
///
/// # Errors
/// See [`Periods::new`].
pub fn periods(flags: &flags::Flags) -> Result<Option<Periods>, String> {
    Periods::new(
        flags.shutdown_grace_period,
        flags.shutdown_grace_period_critical_pods,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn periods_make_sense_together() {
        assert_eq!(Periods::new(seconds(0), seconds(0)), Ok(None));
        let periods = Periods::new(seconds(30), seconds(10)).unwrap().unwrap();
        let (ordinary, critical) = (periods.ordinary, periods.critical);
        assert_eq!((ordinary, critical), (seconds(20), seconds(10)));
        let told = Periods::new(seconds(5), seconds(10)).unwrap_err();
        assert!(
            told.contains("must be <= --shutdown-grace-period 5s"),
            "{told}"
        );
        let told = Periods::new(Duration::from_millis(5), seconds(0)).unwrap_err();
        assert!(
            told.contains("must be either zero or otherwise >= 1 sec"),
            "{told}"
        );
    }

    #[test]
    fn critical_pods_end_last_and_nobody_gets_more_than_it_asks_for() {
        let pod = |uid: &str, priority: i32, grace: i64| {
            let pod = json!({"metadata": {"uid": uid}, "spec": {"containers": [],
                "priority": priority, "terminationGracePeriodSeconds": grace}});
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        };
        let pods = [
            pod("web", 0, 600),
            pod("quick", 100, 1),
            pod("dns", CRITICAL, 30),
            pod("agent", CRITICAL + 1000, 3),
        ];
        let periods = Periods::new(seconds(30), seconds(10)).unwrap().unwrap();
        let [ordinary, critical] = groups(&pods, periods);
        assert_eq!(ordinary.pods, [("web".into(), 20), ("quick".into(), 1)]);
        assert_eq!(critical.pods, [("dns".into(), 10), ("agent".into(), 3)]);
        assert_eq!(
            (ordinary.period, critical.period),
            (seconds(20), seconds(10))
        );
    }

    #[test]
    fn only_a_host_that_shuts_down_is_stopping() {
        assert!(says_stopping(b"stopping\n"));
        for state in ["running\n", "degraded\n", "starting\n", "offline\n", ""] {
            assert!(!says_stopping(state.as_bytes()), "{state}");
        }
    }
}
