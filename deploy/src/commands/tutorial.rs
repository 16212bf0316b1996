//! `hardway tutorial`: walks through the tutorial, showing each command, what it proves
//! and what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anstream::{eprintln, println};
use nix::sys::signal::{SigSet, Signal};

use crate::failure::{OrFail, Result};
use crate::lab::{self, Lab};
use crate::progress::seconds;
use crate::tutorial::walk::{Told, Walk, scratch};
use crate::tutorial::{CHAPTERS, Chapter};

/// What `tutorial` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Only these chapters
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub chapter: Vec<u8>,
    /// Leave what the last chapter made, to look around
    #[arg(long)]
    pub keep: bool,
}

/// Walks, and tells whether all went well.
pub fn run(lab: &Lab, options: &Options) -> Result<bool> {
    let scratch = scratch(lab)?;
    let _lock = lab::lock(&scratch)?;
    let interrupted = listen()?;
    let began = Instant::now();
    let chapters: Vec<&'static Chapter> = CHAPTERS
        .iter()
        .filter(|chapter| options.chapter.is_empty() || options.chapter.contains(&chapter.number))
        .collect();
    let mut walk = Walk::begin(lab, &scratch, interrupted)?;
    let mut told = Vec::new();
    for (index, &chapter) in chapters.iter().enumerate() {
        let keep = options.keep && index + 1 == chapters.len();
        told.push(walk.chapter(chapter, keep));
        if walk.is_interrupted() {
            break;
        }
    }
    let left = walk.end();
    println!("\n{}", summary(&told, began.elapsed()));
    if let (true, Some(last)) = (options.keep, chapters.last()) {
        println!(
            "chapter {0} is still there: kubectl --namespace tutorial-{0} get all; the next walk removes it",
            last.number
        );
    }
    left?;
    Ok(told.len() == chapters.len() && told.iter().all(|told| told.failures.is_empty()))
}

/// A flag that is raised when somebody presses Ctrl-C, so that the walk can clean up.
fn listen() -> Result<Arc<AtomicBool>> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block().or_fail(|| "listen for Ctrl-C")?;
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    std::thread::spawn(move || {
        while signals.wait().is_ok() {
            raised.store(true, Ordering::Relaxed);
            eprintln!("cleaning up …");
        }
    });
    Ok(flag)
}

fn summary(told: &[Told], time: Duration) -> String {
    let mut lines = vec!["Summary".to_owned()];
    for chapter in told {
        let mark = if chapter.failures.is_empty() {
            '✓'
        } else {
            '✗'
        };
        lines.push(format!(
            "  {mark} chapter {}  {:44}{:>3} of {} steps  {:>11}",
            chapter.number,
            chapter.title,
            chapter.passed,
            chapter.steps,
            seconds(chapter.time)
        ));
        lines.extend(
            chapter
                .failures
                .iter()
                .map(|failure| format!("      {failure}")),
        );
    }
    let sum = |count: fn(&Told) -> usize| told.iter().map(count).sum::<usize>();
    lines.push(format!(
        "{} of {} steps went well, in {}",
        sum(|told| told.passed),
        sum(|told| told.steps),
        seconds(time)
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed() {
        let told = |number, passed, failures: &[&str]| Told {
            number,
            title: "A title",
            steps: 12,
            passed,
            failures: failures.iter().map(|&text| text.to_owned()).collect(),
            time: Duration::from_secs(20),
        };
        let text = summary(
            &[
                told(1, 12, &[]),
                told(2, 11, &["2.3 it works: it does not"]),
            ],
            Duration::from_secs(45),
        );
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("  ✓ chapter 1  A title"));
        assert!(lines[1].ends_with(" 12 of 12 steps       20.0 s"));
        assert!(lines[2].starts_with("  ✗ chapter 2"));
        assert_eq!(lines[3], "      2.3 it works: it does not");
        assert_eq!(lines[4], "23 of 24 steps went well, in 45.0 s");
    }
}
