//! `hardway why`, `hardway follow`, `hardway dashboard`: programs of their own, which become
//! this process with the cluster's kubeconfig.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::binaries;
use crate::failure::Failure;
use crate::kubeconfig;
use crate::lab::Lab;
use crate::person::Person;
use crate::shell;

/// What is passed on as it is.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Arguments of the program; `--help` shows which it knows
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    pub words: Vec<OsString>,
}

/// A program that looks at clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Says why something is stuck.
    Why,
    /// Shows what becomes of a request.
    Follow,
    /// Shows the cluster in a browser.
    Dashboard,
}

impl Tool {
    /// Its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Why => "hardway-why",
            Self::Follow => "hardway-follow",
            Self::Dashboard => "hardway-dashboard",
        }
    }

    /// What of the program is meant, before any flag.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Why | Self::Follow => &[],
            // The same program is the server in the cluster.
            Self::Dashboard => &["local"],
        }
    }
}

/// Becomes the program; returns only on failure. `lab` is the lab that was `named` on the
/// command line, or else the one that is there, if one is.
pub fn run(tool: Tool, arguments: &Arguments, lab: Option<&Lab>, named: bool) -> Failure {
    match command(tool, arguments, lab, named) {
        Err(failure) => failure,
        Ok(mut command) => {
            let error = command.exec();
            Failure::new(format!("run {}", tool.program()), error)
        }
    }
}

fn command(
    tool: Tool,
    arguments: &Arguments,
    lab: Option<&Lab>,
    named: bool,
) -> Result<Command, Failure> {
    let words = with_separator(std::env::args_os().collect(), &arguments.words);
    let environment = std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
    let of_lab = lab
        .filter(|_| named || !environment)
        .filter(|_| !has_flag(&words, "--kubeconfig") && !has_flag(&words, "--context"))
        .map(|lab| lab.kubeconfigs().join("admin.kubeconfig"));
    let kubeconfig = match of_lab {
        // The others look for the user's own by themselves.
        None if tool == Tool::Dashboard && !has_flag(&words, "--kubeconfig") => {
            Some(kubeconfig::file::path(&Person::who_calls()?)?)
        }
        other => other,
    };
    let mut command = Command::new(find(tool.program(), lab)?);
    command.args(tool.words());
    if let Some(kubeconfig) = kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    command.args(words);
    Ok(command)
}

/// Where a program of hardway is: beside the components' binaries, beside this tool, or in
/// the PATH.
///
/// # Errors
/// If it is at none of these places, with how to get it.
pub fn find(name: &str, lab: Option<&Lab>) -> Result<PathBuf, Failure> {
    let folders = lab.map(|lab| lab.binaries.clone()).into_iter();
    let folders = folders.chain(binaries::candidates());
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .or_else(|| shell::find_program(name))
        .ok_or_else(|| {
            Failure::new(
                format!("find the program {name}"),
                "it is neither beside the components' binaries nor in the PATH",
            )
            .way_out(format!(
                "build it in a clone of the repository:  cargo build --release -p {name}"
            ))
        })
}

/// Whether the user gives a flag, before words of another command.
pub(super) fn has_flag(words: &[OsString], flag: &str) -> bool {
    let own = words.iter().take_while(|word| *word != "--");
    let mut own = own.map(|word| word.to_string_lossy());
    own.any(|word| {
        let rest = word.strip_prefix(flag);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}

/// The words with the `--` before them, which the command line's parser takes for its own.
fn with_separator(called: Vec<OsString>, words: &[OsString]) -> Vec<OsString> {
    let before = called
        .len()
        .checked_sub(words.len() + 1)
        .and_then(|at| called.get(at));
    let separator = before.filter(|word| word.as_os_str() == OsStr::new("--"));
    separator.into_iter().chain(words).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::tests::lab;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn flags_are_found_before_another_command() {
        for text in ["--context c pod/x", "pod/x --context=c", "--context c"] {
            assert!(has_flag(&words(text), "--context"), "{text}");
        }
        for text in ["pod/x -n a", "-- kubectl --context c", "--contexts", ""] {
            assert!(!has_flag(&words(text), "--context"), "{text}");
        }
    }

    fn called(lab: &Lab, tool: Tool, text: &str, named: bool) -> String {
        let arguments = Arguments { words: words(text) };
        let command = command(tool, &arguments, Some(lab), named).unwrap();
        let arguments = command.get_args().map(OsStr::to_string_lossy);
        arguments.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_cluster_is_meant_unless_the_user_names_another() {
        let folder = tempfile::tempdir().unwrap();
        for tool in [Tool::Why, Tool::Follow, Tool::Dashboard] {
            std::fs::write(folder.path().join(tool.program()), "").unwrap();
        }
        let lab = Lab {
            binaries: folder.path().to_owned(),
            ..lab()
        };
        let own = "--kubeconfig /lab/kubeconfig/admin.kubeconfig";
        let called = |tool, text: &str| called(&lab, tool, text, true);
        assert_eq!(called(Tool::Why, "pod/x"), format!("{own} pod/x"));
        assert_eq!(called(Tool::Dashboard, ""), format!("local {own}"));
        for text in ["--kubeconfig f pod/x", "pod/x --context=c"] {
            assert_eq!(called(Tool::Follow, text), text);
        }
        assert_eq!(
            called(Tool::Dashboard, "--kubeconfig f"),
            "local --kubeconfig f"
        );
    }

    #[test]
    fn the_separator_before_another_command_is_kept() {
        let passed = |called: &str, rest: &str| with_separator(words(called), &words(rest));
        assert_eq!(
            passed("hardway follow -- kubectl get", "kubectl get"),
            words("-- kubectl get")
        );
        assert_eq!(passed("hardway follow pod/x", "pod/x"), words("pod/x"));
        assert_eq!(
            passed("hardway follow -n a -- kubectl", "-n a -- kubectl"),
            words("-n a -- kubectl")
        );
        assert_eq!(passed("hardway why", ""), words(""));
    }

    #[test]
    fn a_program_that_is_missing_can_be_had() {
        let failure = find("hardway-no-such-program", None).unwrap_err();
        let way_out = failure.way_out.unwrap_or_default();
        assert!(way_out.ends_with("cargo build --release -p hardway-no-such-program"));
    }
}
