//! Programs of this machine by which hosts are made.

use std::process::Command;

use crate::kubectl::{Output, finish};

/// Runs a program, for some seconds at most.
pub(super) fn limited(seconds: u64, words: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &seconds.to_string()]);
    finish(command.args(words), "")
}

/// Runs a line of words, which must succeed.
#[track_caller]
pub(super) fn run(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = limited(60, &words);
    assert!(output.success, "{line}: {}{}", output.stdout, output.stderr);
}

/// The same where there is more to do after a failure.
pub(super) fn attempt(words: &[&str]) {
    let output = limited(60, words);
    if !output.success {
        eprintln!("{}: {}{}", words.join(" "), output.stdout, output.stderr);
    }
}
