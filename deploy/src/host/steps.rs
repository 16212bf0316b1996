//! Steps of a command, done one after the other or only shown.

use anstream::println;

use crate::failure::Result;
use crate::progress::Progress;

type Work<'a> = Box<dyn FnOnce() -> Result<String> + 'a>;

/// What a command does, in order.
#[derive(Default)]
pub struct Steps<'a> {
    all: Vec<(String, Work<'a>)>,
}

impl<'a> Steps<'a> {
    /// Adds a step; its answer says what was done.
    pub fn add(&mut self, what: impl Into<String>, work: impl FnOnce() -> Result<String> + 'a) {
        self.all.push((what.into(), Box::new(work)));
    }

    /// What would be done, in words.
    pub fn names(&self) -> Vec<&str> {
        self.all.iter().map(|(what, _)| what.as_str()).collect()
    }

    /// Does them all, or only says what they are.
    ///
    /// # Errors
    /// With the first step that fails; those after it aren't done.
    pub fn run(self, dry_run: bool) -> Result<()> {
        if dry_run {
            for name in self.names() {
                println!("  would do: {name}");
            }
            return Ok(());
        }
        let progress = Progress::new();
        for (what, work) in self.all {
            progress.step(&what, work)?;
        }
        Ok(())
    }
}
