//! The command probe: passes if the command ends with 0.

use super::Outcome;
use super::target::go_seconds;
use crate::cri;
use std::time::Duration;

/// Most of a command's output that an event repeats.
const MAX_OUTPUT: usize = 10 << 10;

pub(super) async fn probe(
    runtime: &cri::Handle,
    id: &str,
    command: &[String],
    timeout: Duration,
) -> Outcome {
    match runtime.exec_sync(id, command.to_vec(), timeout).await {
        Ok(answer) if answer.exit_code == 0 => Outcome::Success,
        Ok(answer) => {
            let mut output = answer.stdout.to_vec();
            output.extend_from_slice(&answer.stderr);
            output.truncate(MAX_OUTPUT);
            Outcome::Failure(String::from_utf8_lossy(&output).into_owned())
        }
        Err(error) if error.code == tonic::Code::DeadlineExceeded => Outcome::Failure(format!(
            "command timed out: {:?} timed out after {}",
            command.join(" "),
            go_seconds(timeout)
        )),
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}
