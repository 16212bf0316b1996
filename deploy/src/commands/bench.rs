//! `hardway bench`: builds the load tool (`tests/load`), and becomes it, with the lab's
//! kubeconfig and processes.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::commands::tools::{Arguments, has_flag};
use crate::compile::{self, Profile};
use crate::failure::{Failure, Result};
use crate::lab::Lab;

/// The load tool's package and program.
const PROGRAM: &str = "hardway-load";

/// Becomes the load tool; returns only on failure. `lab` is the lab that was `named` on the
/// command line, or else the one that is there, if one is.
pub fn run(arguments: &Arguments, lab: Option<&Lab>, named: bool) -> Failure {
    match build() {
        Err(failure) => failure,
        Ok(program) => {
            let environment = std::env::var_os("KUBECONFIG").is_some_and(|it| !it.is_empty());
            let lab = lab.filter(|_| named || !environment);
            let error = command(program, &arguments.words, lab).exec();
            Failure::new(format!("run {PROGRAM}"), error)
        }
    }
}

fn build() -> Result<OsString> {
    compile::components(Profile::Release, &[PROGRAM], None)?;
    let program = compile::binaries(Profile::Release)?.join(PROGRAM);
    Ok(program.into_os_string())
}

/// The command for a lab, unless the user means another cluster.
fn command(program: OsString, words: &[OsString], lab: Option<&Lab>) -> Command {
    let mut command = Command::new(program);
    let elsewhere = ["--against", "--context"].iter();
    let elsewhere = elsewhere.copied().any(|flag| has_flag(words, flag));
    if let Some(lab) = lab.filter(|_| !elsewhere) {
        // It is where the tool looks when nobody says, whatever it is to do.
        let kubeconfig = lab.kubeconfigs().join("admin.kubeconfig");
        command.env("KUBECONFIG", kubeconfig);
        let is_plain = words
            .first()
            .is_none_or(|word| word.as_encoded_bytes().starts_with(b"-"));
        let others = [
            "--processes",
            "--processes-of",
            "--binaries",
            "--reference",
            "--list",
            "--compare",
        ];
        let others = others.iter().any(|flag| has_flag(words, flag));
        let asks = ["-h", "--help", "-V", "--version"];
        let asks = asks.iter().any(|flag| has_flag(words, flag));
        if is_plain && !others && !asks {
            command.arg("--processes-of").arg(&lab.folder);
        }
    }
    command.args(words);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::tests::lab;
    use std::ffi::OsStr;

    fn called(text: &str) -> (bool, String) {
        let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        let lab = lab();
        let command = command(PROGRAM.into(), &words, Some(&lab));
        let with_kubeconfig = command.get_envs().any(|(name, _)| name == "KUBECONFIG");
        let words = command.get_args().map(OsStr::to_string_lossy);
        (with_kubeconfig, words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_lab_is_measured_unless_another_cluster_is_meant() {
        let of_lab = "--processes-of /lab";
        assert_eq!(called(""), (true, of_lab.to_owned()));
        assert_eq!(
            called("--only list"),
            (true, format!("{of_lab} --only list"))
        );
        for words in [
            "--list",
            "--processes a=1",
            "--compare a b",
            "simulate --nodes 5",
        ] {
            assert_eq!(called(words), (true, words.to_owned()));
        }
        for words in ["--against k", "--only list --context=c"] {
            assert_eq!(called(words), (false, words.to_owned()));
        }
    }
}
