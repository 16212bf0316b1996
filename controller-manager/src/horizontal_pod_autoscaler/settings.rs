//! Flags of the autoscaler, under Kubernetes' names.

use crate::context::{at_least_a_second, duration};
use std::time::Duration;

/// How often it looks, and what it makes of what it sees.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// How many HorizontalPodAutoscalers are worked on at the same time.
    #[arg(long = "concurrent-horizontal-pod-autoscaler-syncs", default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: u16,
    /// How often metrics are looked at.
    #[arg(long = "horizontal-pod-autoscaler-sync-period", default_value = "15s", value_name = "DURATION", value_parser = at_least_a_second)]
    pub sync_period: Duration,
    /// For how long the highest recommendation counts before a target is scaled down, where
    /// its autoscaler doesn't say.
    #[arg(long = "horizontal-pod-autoscaler-downscale-stabilization", default_value = "5m", value_name = "DURATION", value_parser = duration)]
    pub downscale_stabilization: Duration,
    /// How far usage may be from its target, as a share of it, before anything is scaled.
    #[arg(long = "horizontal-pod-autoscaler-tolerance", default_value_t = 0.1, value_name = "SHARE", value_parser = share)]
    pub tolerance: f64,
    /// For how long after a pod's start samples of its CPU are left out while it isn't ready.
    #[arg(long = "horizontal-pod-autoscaler-cpu-initialization-period", default_value = "5m", value_name = "DURATION", value_parser = duration)]
    pub cpu_initialization_period: Duration,
    /// A pod that became unready within this time of its start has never been ready.
    #[arg(long = "horizontal-pod-autoscaler-initial-readiness-delay", default_value = "30s", value_name = "DURATION", value_parser = duration)]
    pub initial_readiness_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            workers: 5,
            sync_period: seconds(15),
            downscale_stabilization: seconds(300),
            tolerance: 0.1,
            cpu_initialization_period: seconds(300),
            initial_readiness_delay: seconds(30),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let parsed = text.parse::<f64>().ok();
    let share = parsed.filter(|share| share.is_finite() && *share >= 0.0);
    share.ok_or_else(|| format!("{text:?} is no number of zero or more such as 0.1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn flags_have_kubernetes_defaults() {
        let parsed = Flags::parse_from(["x"]).settings;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn nonsense_is_refused() {
        for flag in [
            "--horizontal-pod-autoscaler-tolerance=-1",
            "--horizontal-pod-autoscaler-tolerance=NaN",
            "--horizontal-pod-autoscaler-sync-period=0s",
            "--horizontal-pod-autoscaler-downscale-stabilization=-1s",
            "--concurrent-horizontal-pod-autoscaler-syncs=0",
        ] {
            assert!(Flags::try_parse_from(["x", flag]).is_err(), "{flag}");
        }
        let none = "--horizontal-pod-autoscaler-downscale-stabilization=0s";
        assert!(Flags::try_parse_from(["x", none]).is_ok());
    }
}
