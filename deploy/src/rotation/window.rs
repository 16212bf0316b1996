//! Whether something was used of late, as a server has noted it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::missing::{Missing, missing};

/// The last while, in which nobody may have used something.
pub(super) struct Window {
    length: Duration,
    /// Since when it could be seen, and what time it is, in seconds since 1970.
    seen_since: f64,
    now: f64,
}

impl Window {
    /// The last `length`, of what could be seen since a time, in seconds since 1970.
    pub(super) fn new(length: Duration, seen_since: f64, now: SystemTime) -> Self {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            length,
            seen_since,
            now: now.as_secs_f64(),
        }
    }

    /// What a server has seen of use within it.
    pub(super) fn missing(
        &self,
        server: &str,
        what: &str,
        used: impl Iterator<Item = (String, f64)>,
        how: &str,
    ) -> Vec<Missing> {
        let length = self.length.as_secs_f64();
        let within = used.filter(|(_, at)| self.now - at < length);
        let mut all: Vec<Missing> = within
            .map(|(who, at)| {
                let ago = (self.now - at).max(0.0);
                missing(who, format!("showed {what} {ago:.0} s ago"), how)
            })
            .collect();
        let left = length - (self.now - self.seen_since);
        if all.is_empty() && left > 0.0 {
            all.push(missing(
                server,
                format!("has to see for {left:.0} s more that nobody shows {what}"),
                "--unused-for says for how long",
            ));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_clear_when_nobody_was_seen_in_all_of_it() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let window = |since| Window::new(Duration::from_secs(60), since, now);
        let missing = |since, used: &[(&str, f64)]| {
            let used = used.iter().map(|(who, at)| ((*who).to_owned(), *at));
            let all = window(since).missing("a", "it", used, "");
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(missing(900.0, &[]).is_empty());
        assert!(missing(900.0, &[("jane", 939.0)]).is_empty());
        assert_eq!(
            missing(900.0, &[("jane", 990.0)]),
            ["jane: showed it 10 s ago"]
        );
        let short =
            "a: has to see for 20 s more that nobody shows it (--unused-for says for how long)";
        assert_eq!(missing(960.0, &[]), [short]);
    }
}
