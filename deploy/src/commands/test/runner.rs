//! How a part's commands run: by themselves, or beside others that matter more.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::Command;

use crate::compile::{self, Profile};
use crate::failure::{OrFail, Result};

/// Where a part's commands print, and how much of the machine they get.
#[derive(Debug)]
pub enum Runner {
    /// They print to the terminal, and have the machine.
    Foreground,
    /// They get what others leave, and what they print is kept. They build in a folder of
    /// their own: cargo lets one build at a time into a folder.
    Beside {
        /// What they have printed.
        output: File,
        /// Where they build.
        target: PathBuf,
    },
}

impl Runner {
    /// One for parts that run beside others.
    ///
    /// # Errors
    /// If no temporary file can be made.
    pub fn beside() -> Result<Self> {
        let target = compile::binaries(Profile::Release)?.with_file_name("lints");
        let path = target.join("output.log");
        let what = || format!("write {}", path.display());
        fs::create_dir_all(&target).or_fail(what)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let output = options.open(&path).or_fail(what)?;
        Ok(Self::Beside { output, target })
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it can't be started, or fails.
    pub fn run(&self, command: Command, what: &str) -> Result<()> {
        let Self::Beside { output, target } = self else {
            return compile::finish(command, what);
        };
        let mut command = at_the_lowest_priority(&command);
        command.env("CARGO_TARGET_DIR", target);
        command.stdout(output.try_clone().or_fail(|| what)?);
        command.stderr(output.try_clone().or_fail(|| what)?);
        compile::finish(command, what)
    }

    /// Prints as the commands do.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn print(&self, text: &str) -> Result<()> {
        match self {
            Self::Foreground => anstream::print!("{text}"),
            Self::Beside { output, .. } => {
                let mut output = output;
                output
                    .write_all(text.as_bytes())
                    .or_fail(|| "keep output")?;
            }
        }
        Ok(())
    }

    /// Shows what was kept.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn show(self) -> Result<()> {
        if let Self::Beside { mut output, .. } = self {
            output.rewind().or_fail(|| "read what was printed")?;
            let mut shown = std::io::stdout().lock();
            std::io::copy(&mut output, &mut shown).or_fail(|| "show what was printed")?;
        }
        Ok(())
    }
}

/// The same command, which gives way to all others.
fn at_the_lowest_priority(command: &Command) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program());
    nice.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        nice.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => nice.env(name, value),
            None => nice.env_remove(name),
        };
    }
    nice.stdin(std::process::Stdio::null());
    nice
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_runs_beside_gives_way_and_its_output_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        let mut options = File::options();
        options.read(true).write(true).create(true);
        let runner = Runner::Beside {
            output: options.open(&path).unwrap(),
            target: folder.path().to_owned(),
        };
        let mut command = Command::new("sh");
        command.args(["-c", "nice; echo $CARGO_TARGET_DIR $ONE >&2; exit $TWO"]);
        command.envs([("ONE", "1"), ("TWO", "2")]);
        runner.print("first\n").unwrap();
        let failure = runner.run(command, "try it").unwrap_err();
        assert!(failure.to_string().contains("try it"), "{failure}");
        let mut kept = String::new();
        File::open(path).unwrap().read_to_string(&mut kept).unwrap();
        assert_eq!(kept, format!("first\n19\n{} 1\n", folder.path().display()));
    }
}
