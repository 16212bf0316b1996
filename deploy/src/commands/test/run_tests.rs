//! Running tests: what they print is shown, and read.

use std::io::{Read, Write};
use std::process::Command;

use super::report::Report;
use crate::failure::{OrFail, Result};

/// When what tests print is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// As they print it.
    AtOnce,
    /// As a whole when they have ended, since others print meanwhile.
    AtTheEnd,
}

/// Runs a command of tests to its end, and reads what they print.
pub fn run(mut command: Command, show: Show) -> Result<Report> {
    let what = || "run the end-to-end tests";
    let (mut reader, writer) = std::io::pipe().or_fail(what)?;
    // One stream, so that what cargo says of a suite stays before what the suite says.
    command
        .stdout(writer.try_clone().or_fail(what)?)
        .stderr(writer)
        .env("CARGO_TERM_COLOR", "never");
    let mut child = command.spawn().or_fail(what)?;
    // Its ends of the pipe: it would never be empty else.
    drop(command);
    let mut report = Report::default();
    let (mut printed, mut line) = (Vec::new(), Vec::new());
    let mut bytes = [0; 8192];
    loop {
        let count = reader.read(&mut bytes).or_fail(what)?;
        if count == 0 {
            break;
        }
        printed.extend_from_slice(&bytes[..count]);
        if show == Show::AtOnce {
            print(&printed).or_fail(what)?;
            printed.clear();
        }
        for &byte in &bytes[..count] {
            if byte == b'\n' {
                report.read(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(byte);
            }
        }
    }
    print(&printed).or_fail(what)?;
    report.succeeded = child.wait().or_fail(what)?.success();
    Ok(report)
}

fn print(bytes: &[u8]) -> std::io::Result<()> {
    let mut shown = std::io::stdout().lock();
    shown.write_all(bytes)?;
    shown.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_end_are_read() {
        for (code, show) in [(0, Show::AtOnce), (1, Show::AtTheEnd)] {
            let script = format!(
                "echo '     Running tests/dns.rs (x)' >&2; \
                 echo 'test result: ok. 2 passed; 0 failed'; exit {code}"
            );
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            let report = run(command, show).unwrap();
            assert_eq!((report.passed, report.succeeded), (2, code == 0));
        }
    }
}
