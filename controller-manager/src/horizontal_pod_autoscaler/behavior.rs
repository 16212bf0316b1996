//! From what metrics ask for to what is done: recommendations of the recent past, how fast a
//! target may grow and shrink, its least and its most replicas.
//!
//! As `pkg/controller/podautoscaler/horizontal.go` of Kubernetes 1.33 has it, with the reasons
//! and messages of its conditions.

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior,
};
use std::time::Duration;
use tokio::time::Instant;

/// Reason and message of a condition.
pub type Words = (&'static str, &'static str);

const WITHIN_RANGE: Words = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_MANY: Words = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: Words = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const UP_LIMIT: Words = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const DOWN_LIMIT: Words = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);
const READY: Words = ("ReadyForNewScale", "recommended size matches current size");
const UP_STABILIZED: Words = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILIZED: Words = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);

/// What happened to a target lately, by a clock that nobody can set.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What metrics asked for.
    recommendations: Vec<(Instant, i32)>,
    /// By how many replicas it was scaled up.
    added: Vec<(Instant, i32)>,
    /// By how many it was scaled down.
    removed: Vec<(Instant, i32)>,
}

/// Between what the answer has to be, and from where it starts.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Replicas now.
    pub current: i32,
    /// The least.
    pub min: i32,
    /// The most.
    pub max: i32,
}

/// What is to be done, and why.
#[derive(Debug, PartialEq)]
pub struct Normalized {
    /// Replicas.
    pub replicas: i32,
    /// Of the condition `AbleToScale`.
    pub able: Words,
    /// Of the condition `ScalingLimited`.
    pub limited: Words,
    /// Whether that is so.
    pub is_limited: bool,
}

/// How a target may change in one direction, defaults filled in.
struct Rules<'a> {
    window: Duration,
    select: &'a str,
    policies: Vec<HPAScalingPolicy>,
}

fn policy(r#type: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy {
        type_: r#type.into(),
        value,
        period_seconds: 15,
    }
}

fn seconds(number: i32) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or_default())
}

impl<'a> Rules<'a> {
    fn of(
        rules: Option<&'a HPAScalingRules>,
        window: Duration,
        default: &[HPAScalingPolicy],
    ) -> Self {
        let policies = rules.and_then(|rules| rules.policies.clone());
        let policies = policies.filter(|policies| !policies.is_empty());
        let window_seconds = rules.and_then(|rules| rules.stabilization_window_seconds);
        Self {
            window: window_seconds.map_or(window, seconds),
            select: rules
                .and_then(|rules| rules.select_policy.as_deref())
                .unwrap_or("Max"),
            policies: policies.unwrap_or_else(|| default.to_vec()),
        }
    }

    fn up(behavior: &'a HorizontalPodAutoscalerBehavior) -> Self {
        let default = [policy("Pods", 4), policy("Percent", 100)];
        Self::of(behavior.scale_up.as_ref(), Duration::ZERO, &default)
    }

    fn down(behavior: &'a HorizontalPodAutoscalerBehavior, window: Duration) -> Self {
        Self::of(
            behavior.scale_down.as_ref(),
            window,
            &[policy("Percent", 100)],
        )
    }

    /// How far the policies let a target go: each makes a number of the replicas there were
    /// at the beginning of its period.
    fn limit(&self, current: i32, history: &History, now: Instant, up: bool) -> i32 {
        let limits = self.policies.iter().map(|policy| {
            let period = seconds(policy.period_seconds);
            let added = changes(&history.added, period, now);
            let removed = changes(&history.removed, period, now);
            let before = current.saturating_sub(added).saturating_add(removed);
            match (policy.type_.as_str(), up) {
                ("Pods", true) => before.saturating_add(policy.value),
                ("Pods", false) => before.saturating_sub(policy.value),
                // Rounded up, or few would never become more.
                (_, true) => {
                    (f64::from(before) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32
                }
                (_, false) => (f64::from(before) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
            }
        });
        // The greatest change is the highest number of replicas upwards, the lowest downwards.
        let limit = match (self.select, up) {
            ("Disabled", _) => None,
            ("Min", true) | ("Max", false) => limits.min(),
            _ => limits.max(),
        };
        limit.unwrap_or(current)
    }

    fn longest_period(&self) -> Duration {
        let periods = self.policies.iter().map(|policy| policy.period_seconds);
        seconds(periods.max().unwrap_or_default())
    }
}

fn changes(events: &[(Instant, i32)], period: Duration, now: Instant) -> i32 {
    let recent = events
        .iter()
        .filter(|(at, _)| now.duration_since(*at) < period);
    recent.map(|(_, change)| change).sum()
}

impl History {
    /// Begins with what there is, so that what was forgotten lets nothing shrink at once.
    pub fn begin(&mut self, current: i32, now: Instant) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Remembers that a target was scaled, as far as policies ask about it.
    pub fn scaled(
        &mut self,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
        from: i32,
        to: i32,
        now: Instant,
    ) {
        let Some(behavior) = behavior else { return };
        let periods = [Rules::up(behavior), Rules::down(behavior, Duration::ZERO)];
        let longest = periods.iter().map(Rules::longest_period).max();
        let longest = longest.unwrap_or_default();
        for events in [&mut self.added, &mut self.removed] {
            events.retain(|(at, _)| now.duration_since(*at) < longest);
        }
        match to > from {
            true => self.added.push((now, to.saturating_sub(from))),
            false => self.removed.push((now, from.saturating_sub(to))),
        }
    }

    fn recommend(&mut self, desired: i32, window: Duration, now: Instant) {
        self.recommendations
            .retain(|(at, _)| now.duration_since(*at) < window);
        self.recommendations.push((now, desired));
    }

    fn recent(&self, window: Duration, now: Instant) -> impl Iterator<Item = i32> {
        let recent = move |(at, _): &&(Instant, i32)| now.duration_since(*at) < window;
        self.recommendations
            .iter()
            .filter(recent)
            .map(|(_, replicas)| *replicas)
    }

    /// What is to be done of what metrics ask for, which is remembered.
    pub fn normalize(
        &mut self,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
        default_window: Duration,
        range: Range,
        desired: i32,
        now: Instant,
    ) -> Normalized {
        let (stabilized, why, (replicas, limited)) = match behavior {
            None => {
                let stabilized = self.recent(default_window, now).fold(desired, i32::max);
                self.recommend(desired, default_window, now);
                (stabilized, DOWN_STABILIZED, within(range, stabilized))
            }
            Some(behavior) => {
                let (up, down) = (Rules::up(behavior), Rules::down(behavior, default_window));
                let (stabilized, why) = self.stabilize(&up, &down, range.current, desired, now);
                self.recommend(desired, up.window.max(down.window), now);
                (
                    stabilized,
                    why,
                    self.limited(&up, &down, range, stabilized, now),
                )
            }
        };
        Normalized {
            replicas,
            able: if stabilized == desired { READY } else { why },
            limited,
            is_limited: replicas != stabilized,
        }
    }

    /// Up to what all recent recommendations wanted, down to what none wanted more than.
    fn stabilize(
        &self,
        up: &Rules<'_>,
        down: &Rules<'_>,
        current: i32,
        desired: i32,
        now: Instant,
    ) -> (i32, Words) {
        let lowest = self.recent(up.window, now).fold(desired, i32::min);
        let highest = self.recent(down.window, now).fold(desired, i32::max);
        let why = match desired >= current {
            true => UP_STABILIZED,
            false => DOWN_STABILIZED,
        };
        (current.max(lowest).min(highest), why)
    }

    /// No faster than the policies let it, and within its range.
    fn limited(
        &self,
        up: &Rules<'_>,
        down: &Rules<'_>,
        range: Range,
        desired: i32,
        now: Instant,
    ) -> (i32, Words) {
        let Range { current, min, max } = range;
        if desired > current {
            // What happened before the policies changed may have gone further.
            let limit = up.limit(current, self, now, true).max(current);
            let (most, why) = if max > limit {
                (limit, UP_LIMIT)
            } else {
                (max, TOO_MANY)
            };
            if desired > most {
                return (most, why);
            }
        } else if desired < current {
            let limit = down.limit(current, self, now, false).min(current);
            let (least, why) = if min < limit {
                (limit, DOWN_LIMIT)
            } else {
                (min, TOO_FEW)
            };
            if desired < least {
                return (least, why);
            }
        }
        (desired, WITHIN_RANGE)
    }
}

/// Within a range, where no behavior is asked for: at most twice what there is, or four.
fn within(range: Range, desired: i32) -> (i32, Words) {
    let Range { current, min, max } = range;
    let limit = current.saturating_mul(2).max(4);
    let (most, why) = if max > limit {
        (limit, UP_LIMIT)
    } else {
        (max, TOO_MANY)
    };
    if desired < min {
        (min, TOO_FEW)
    } else if desired > most {
        (most, why)
    } else {
        (desired, WITHIN_RANGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The rules of Kubernetes' test: so many pods, so many percent, in so many seconds.
    fn rules(pods: i32, pods_period: i32, percent: i32, percent_period: i32) -> Value {
        let mut policies = Vec::new();
        for (kind, value, period) in [
            ("Pods", pods, pods_period),
            ("Percent", percent, percent_period),
        ] {
            if value != 0 {
                policies.push(json!({"type": kind, "value": value, "periodSeconds": period}));
            }
        }
        json!({"selectPolicy": "Max", "policies": policies})
    }

    fn behavior(up: Value, down: Value) -> HorizontalPodAutoscalerBehavior {
        serde_json::from_value(json!({"scaleUp": up, "scaleDown": down})).unwrap()
    }

    /// Changes in the middle of equal parts of two minutes.
    fn events(now: Instant, numbers: &[i32]) -> Vec<(Instant, i32)> {
        let part = 120.0 / numbers.len() as f64;
        let ago = |i: usize| Duration::from_secs_f64(120.0 - part * (i as f64 + 0.5));
        numbers
            .iter()
            .enumerate()
            .map(|(i, number)| (now - ago(i), *number))
            .collect()
    }

    const DEFAULT: fn() -> Value = || Value::Null;

    #[tokio::test(start_paused = true)]
    async fn ranges_and_rates_as_in_kubernetes() {
        tokio::time::advance(Duration::from_secs(3600)).await;
        let now = Instant::now();
        let none: &[i32] = &[];
        // Up and down rules, earlier changes up and down, min, max, current, desired; the
        // outcome. Facts of `TestScalingWithRules` in Kubernetes' horizontal_test.go.
        #[rustfmt::skip]
        let cases = [
            (DEFAULT(), DEFAULT(), none, none, (3, 8, 5, 7), 7, "DesiredWithinRange"),
            (DEFAULT(), DEFAULT(), none, none, (2, 8, 3, 1), 2, "TooFewReplicas"),
            (DEFAULT(), DEFAULT(), none, none, (0, 10, 1, 0), 0, "DesiredWithinRange"),
            (DEFAULT(), DEFAULT(), none, none, (1, 10, 20, 1000), 10, "TooManyReplicas"),
            (DEFAULT(), DEFAULT(), none, none, (100, 150, 100, 1000), 150, "TooManyReplicas"),
            (rules(0, 0, 1, 60), DEFAULT(), none, none, (1, 2000, 3, 1000), 4, "ScaleUpLimit"),
            (DEFAULT(), rules(20, 60, 0, 0), none, none, (3, 2000, 1000, 3), 980, "ScaleDownLimit"),
            (DEFAULT(), DEFAULT(), none, none, (1, 1000, 10, 50), 20, "ScaleUpLimit"),
            (rules(100, 60, 100, 60), DEFAULT(), none, none, (1, 1000, 10, 500), 110, "ScaleUpLimit"),
            (rules(2, 60, 100, 60), DEFAULT(), none, none, (1, 1000, 10, 500), 20, "ScaleUpLimit"),
            (rules(100, 60, 0, 0), DEFAULT(), none, none, (1, 1000, 10, 50), 50, "DesiredWithinRange"),
            (rules(30, 60, 0, 0), DEFAULT(), none, none, (1, 1000, 10, 50), 40, "ScaleUpLimit"),
            (rules(0, 0, 200, 60), DEFAULT(), none, none, (1, 1000, 10, 50), 30, "ScaleUpLimit"),
            (DEFAULT(), rules(20, 60, 1, 60), none, none, (1, 1000, 100, 2), 80, "ScaleDownLimit"),
            (DEFAULT(), rules(2, 60, 1, 60), none, none, (1, 1000, 100, 2), 98, "ScaleDownLimit"),
            (DEFAULT(), rules(100, 60, 0, 0), none, none, (1, 1000, 10, 0), 1, "TooFewReplicas"),
            (DEFAULT(), rules(0, 0, 100, 60), none, none, (5, 1000, 10, 2), 5, "TooFewReplicas"),
            (DEFAULT(), rules(5, 60, 0, 0), none, none, (1, 1000, 10, 2), 5, "ScaleDownLimit"),
            (DEFAULT(), rules(0, 0, 50, 60), none, none, (1, 1000, 10, 5), 5, "DesiredWithinRange"),
            (rules(300, 60, 0, 0), DEFAULT(), &[1, 5, 9], none, (1, 200, 100, 500), 200, "TooManyReplicas"),
            (rules(5, 120, 0, 0), DEFAULT(), &[1, 5, 9], none, (1, 1000, 100, 500), 100, "ScaleUpLimit"),
            (rules(150, 120, 0, 0), DEFAULT(), &[1, 5, 9], none, (1, 1000, 100, 500), 235, "ScaleUpLimit"),
            (rules(0, 0, 200, 120), DEFAULT(), &[1, 5, 9], none, (1, 1000, 100, 500), 255, "ScaleUpLimit"),
            (DEFAULT(), DEFAULT(), none, &[1, 5, 9], (1, 1000, 10, 5), 5, "DesiredWithinRange"),
            (DEFAULT(), rules(115, 120, 0, 0), none, &[1, 5, 9], (1, 1000, 100, 0), 1, "TooFewReplicas"),
            (DEFAULT(), rules(5, 120, 0, 0), none, &[1, 5, 9], (1, 1000, 100, 2), 100, "ScaleDownLimit"),
            (DEFAULT(), rules(0, 0, 50, 120), none, &[2, 4, 6], (1, 1000, 100, 0), 56, "ScaleDownLimit"),
            (DEFAULT(), rules(0, 0, 10, 120), none, &[10, 10, 10], (1, 1000, 100, 0), 100, "ScaleDownLimit"),
            (DEFAULT(), rules(0, 0, 1000, 120), none, &[10, 10, 10], (1, 1000, 10, 5), 5, "DesiredWithinRange"),
            (rules(1000, 120, 100, 60), DEFAULT(), &[8, 12, 9, 11], none, (1, 1000, 100, 200), 200, "DesiredWithinRange"),
        ];
        for (up, down, added, removed, (min, max, current, desired), replicas, reason) in cases {
            let case = format!("{up} {down} {added:?} {removed:?} {min} {max} {current} {desired}");
            let behavior = behavior(up, down);
            let history = History {
                recommendations: Vec::new(),
                added: events(now, added),
                removed: events(now, removed),
            };
            let (up, down) = (Rules::up(&behavior), Rules::down(&behavior, Duration::ZERO));
            let range = Range { current, min, max };
            let (limited, why) = history.limited(&up, &down, range, desired, now);
            assert_eq!((limited, why.0), (replicas, reason), "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_smallest_change_or_none_can_be_asked_for() {
        let select = |policy: &str, up: bool, current| {
            let rules = json!({"selectPolicy": policy, "policies": [
                {"type": "Pods", "value": 2, "periodSeconds": 60},
                {"type": "Percent", "value": 50, "periodSeconds": 60}]});
            let behavior = behavior(rules.clone(), rules);
            let rules = match up {
                true => Rules::up(&behavior),
                false => Rules::down(&behavior, Duration::ZERO),
            };
            rules.limit(current, &History::default(), Instant::now(), up)
        };
        assert_eq!(select("Min", true, 1), 2);
        assert_eq!(select("Min", false, 5), 3);
        assert_eq!(select("Max", true, 1), 3);
        assert_eq!(select("Max", false, 5), 2);
        assert_eq!(select("Disabled", true, 5), 5);
        assert_eq!(select("Disabled", false, 5), 5);
    }

    #[test]
    fn without_behavior_a_target_at_most_doubles() {
        let range = |current, min, max| Range { current, min, max };
        let (none, few) = (WITHIN_RANGE, TOO_FEW);
        assert_eq!(within(range(5, 3, 8), 7), (7, none));
        assert_eq!(within(range(3, 2, 8), 1), (2, few));
        assert_eq!(within(range(1, 0, 10), 0), (0, none));
        assert_eq!(within(range(20, 1, 10), 1000), (10, TOO_MANY));
        assert_eq!(within(range(3, 1, 2000), 1000), (6, UP_LIMIT));
        assert_eq!(within(range(1, 1, 2000), 1000), (4, UP_LIMIT));
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn the_highest_recommendation_of_five_minutes_counts() {
        tokio::time::advance(20 * MINUTE).await;
        let now = Instant::now();
        // Minutes ago and replicas; facts of `TestNormalizeDesiredReplicas`.
        let cases: [(&[(u32, i32)], i32); 5] = [
            (&[], 3),
            (&[(2, 4), (1, 5)], 5),
            (&[(2, 1), (1, 2)], 3),
            (&[(10, 10), (9, 9)], 3),
            (&[(10, 10), (1, 4), (2, 5), (9, 9)], 5),
        ];
        for (before, replicas) in cases {
            let mut history = History::default();
            for (ago, replicas) in before {
                history
                    .recommendations
                    .push((now - *ago * MINUTE, *replicas));
            }
            let range = Range {
                current: 5,
                min: 1,
                max: 100,
            };
            let done = history.normalize(None, 5 * MINUTE, range, 3, now);
            assert_eq!(done.replicas, replicas, "{before:?}");
            assert_eq!(done.able == DOWN_STABILIZED, replicas != 3, "{before:?}");
            assert!(
                history
                    .recommendations
                    .iter()
                    .all(|(at, _)| now - *at < 5 * MINUTE)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn flapping_metrics_change_nothing() {
        let behavior = behavior(
            json!({"stabilizationWindowSeconds": 60}),
            json!({"stabilizationWindowSeconds": 60}),
        );
        let (mut history, mut current) = (History::default(), 5);
        history.begin(current, Instant::now());
        for desired in [5, 9, 2, 8, 3, 9, 2, 7] {
            tokio::time::advance(Duration::from_secs(15)).await;
            let range = Range {
                current,
                min: 1,
                max: 10,
            };
            let done = history.normalize(Some(&behavior), MINUTE, range, desired, Instant::now());
            current = done.replicas;
            assert_eq!(current, 5, "{desired}");
        }
        // What they agree on at last is done.
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(15)).await;
            let range = Range {
                current,
                min: 1,
                max: 10,
            };
            let done = history.normalize(Some(&behavior), MINUTE, range, 8, Instant::now());
            current = done.replicas;
        }
        assert_eq!(current, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_of_the_recent_past_count_against_the_rate() {
        let behavior = behavior(
            json!({"policies": [
            {"type": "Pods", "value": 3, "periodSeconds": 60}]}),
            DEFAULT(),
        );
        let (mut history, mut current) = (History::default(), 1);
        let mut sizes = Vec::new();
        for _ in 0..6 {
            let range = Range {
                current,
                min: 1,
                max: 100,
            };
            let done = history.normalize(Some(&behavior), MINUTE, range, 50, Instant::now());
            if done.replicas != current {
                history.scaled(Some(&behavior), current, done.replicas, Instant::now());
            }
            current = done.replicas;
            sizes.push(current);
            tokio::time::advance(Duration::from_secs(30)).await;
        }
        assert_eq!(sizes, [4, 4, 7, 7, 10, 10]);
        assert!(history.added.len() <= 2, "older ones are forgotten");
    }
}
