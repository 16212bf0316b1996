//! What a Deployment asks for, defaults filled in and percentages resolved.

use crate::amounts::resolve;
use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What a Deployment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many pods.
    pub replicas: i32,
    /// Whether old pods are replaced little by little; else all at once.
    pub rolling: bool,
    /// How many pods there may be beyond `replicas` meanwhile.
    pub max_surge: i32,
    /// How many of `replicas` may be missing meanwhile.
    pub max_unavailable: i32,
    /// Whether rollouts are held.
    pub paused: bool,
    /// Seconds for which a pod must be ready to count as available.
    pub min_ready_seconds: i32,
    /// Seconds without progress after which a rollout has failed; `None`: never.
    pub progress_deadline: Option<i64>,
    /// How many old ReplicaSets are kept; `None`: all.
    pub history_limit: Option<usize>,
}

impl Settings {
    /// Reads a spec.
    pub fn of(spec: &DeploymentSpec) -> Self {
        let replicas = spec.replicas.unwrap_or(1);
        let strategy = spec.strategy.as_ref();
        let rolling = strategy.and_then(|s| s.type_.as_deref()) != Some("Recreate");
        let amounts = strategy.and_then(|s| s.rolling_update.as_ref());
        let (max_surge, max_unavailable) = match rolling {
            true => bounds(
                amounts.and_then(|a| a.max_surge.as_ref()),
                amounts.and_then(|a| a.max_unavailable.as_ref()),
                replicas,
            ),
            false => (0, 0),
        };
        // The largest number stands for "never" and "all".
        let limited = |number: Option<i32>| number.filter(|n| *n != i32::MAX);
        Self {
            replicas,
            rolling,
            max_surge,
            max_unavailable,
            paused: spec.paused.unwrap_or(false),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            progress_deadline: limited(spec.progress_deadline_seconds).map(i64::from),
            history_limit: limited(spec.revision_history_limit)
                .and_then(|n| usize::try_from(n).ok()),
        }
    }

    /// How many pods there may be at most, old ones included.
    pub fn max_pods(&self) -> i32 {
        self.replicas.saturating_add(self.max_surge)
    }

    /// How many pods must be available at all times.
    pub fn min_available(&self) -> i32 {
        self.replicas.saturating_sub(self.max_unavailable)
    }
}

/// Surge and unavailability in pods. A surge's percentage is rounded up, the
/// other's down; if both come to nothing, one pod may be missing, since
/// otherwise nothing could ever move.
fn bounds(
    surge: Option<&IntOrString>,
    unavailable: Option<&IntOrString>,
    replicas: i32,
) -> (i32, i32) {
    let surge = surge.map_or(0, |amount| resolve(amount, replicas, true));
    let unavailable = unavailable.map_or(0, |amount| resolve(amount, replicas, false));
    let unavailable = match (surge, unavailable) {
        (0, 0) => 1,
        _ => unavailable,
    };
    (surge, unavailable.min(replicas))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn settings(replicas: i32, strategy: Value) -> Settings {
        let spec =
            json!({"replicas": replicas, "strategy": strategy, "selector": {}, "template": {}});
        Settings::of(&serde_json::from_value(spec).unwrap())
    }

    fn rolling(replicas: i32, surge: Value, unavailable: Value) -> (i32, i32) {
        let amounts = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        let settings = settings(
            replicas,
            json!({"type": "RollingUpdate", "rollingUpdate": amounts}),
        );
        (settings.max_surge, settings.max_unavailable)
    }

    #[test]
    fn percentages_are_rounded_in_favour_of_availability() {
        assert_eq!(rolling(3, json!("25%"), json!("25%")), (1, 0));
        assert_eq!(rolling(10, json!("25%"), json!("25%")), (3, 2));
        assert_eq!(rolling(4, json!("25%"), json!("25%")), (1, 1));
        assert_eq!(rolling(10, json!("150%"), json!(3)), (15, 3));
    }

    #[test]
    fn something_can_always_move() {
        assert_eq!(rolling(10, json!(0), json!("5%")), (0, 1));
        assert_eq!(rolling(1, json!("0%"), json!("0%")), (0, 1));
        assert_eq!(rolling(0, json!("25%"), json!("25%")), (0, 0));
        assert_eq!(
            rolling(2, json!(0), json!(5)),
            (0, 2),
            "never more than there are"
        );
    }

    #[test]
    fn recreate_has_no_bounds_and_the_largest_number_is_none() {
        let recreate = settings(4, json!({"type": "Recreate"}));
        assert!(!recreate.rolling);
        assert_eq!((recreate.max_pods(), recreate.min_available()), (4, 4));
        let spec = json!({
            "selector": {}, "template": {},
            "progressDeadlineSeconds": i32::MAX, "revisionHistoryLimit": i32::MAX,
        });
        let endless = Settings::of(&serde_json::from_value(spec).unwrap());
        assert_eq!(
            (endless.progress_deadline, endless.history_limit),
            (None, None)
        );
    }
}
