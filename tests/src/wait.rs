//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long the cluster may take to do what it was asked, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// Asks `probe` again and again until it answers, and fails with its last complaint.
pub fn until<T>(what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    within(PATIENCE, what, probe)
}

/// The same with a deadline of its own.
pub fn within<T>(
    patience: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        let complaint = match probe() {
            Ok(answer) => return answer,
            Err(complaint) => complaint,
        };
        assert!(
            start.elapsed() < patience,
            "waited {patience:?} in vain: {what}\nlast seen: {complaint}"
        );
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(400));
    }
}

/// For probes: good if the condition holds, else what was seen instead.
pub fn holds(condition: bool, seen: impl std::fmt::Display) -> Result<(), String> {
    if condition {
        Ok(())
    } else {
        Err(seen.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_until_it_is_told() {
        let mut asked = 0;
        let answer = until("three", || {
            asked += 1;
            if asked < 3 {
                Err(asked.to_string())
            } else {
                Ok(asked)
            }
        });
        assert_eq!(answer, 3);
    }

    #[test]
    #[should_panic(expected = "last seen: no")]
    fn it_says_what_it_saw_last() {
        within(Duration::ZERO, "never", || holds(false, "no"));
    }
}
