//! Programs of the host that volumes need: nothing else speaks with some servers.

use futures_util::future::BoxFuture;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Where they may be.
const PLACES: [&str; 4] = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"];
/// How long what was killed may take to end.
const LAST_PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take of which nothing else is known.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether the host has a program; `packages` are those that bring it.
///
/// # Errors
/// If not: what to install.
pub(super) fn check(program: &str, packages: &str) -> Result<(), String> {
    check_at(&PLACES, program, packages)
}

fn check_at(places: &[&str], program: &str, packages: &str) -> Result<(), String> {
    let mut places = places.iter();
    match places.any(|place| Path::new(place).join(program).exists()) {
        true => Ok(()),
        false => Err(format!(
            "{program} is missing on this node: install {packages}"
        )),
    }
}

/// Runs a command; one that takes too long is killed with all that it has begun, and there is no
/// answer.
///
/// # Errors
/// If it can't be started.
pub(super) async fn run(
    mut command: Command,
    patience: Duration,
) -> std::io::Result<Option<Output>> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let ended = child.wait_with_output();
    tokio::pin!(ended);
    if let Ok(ended) = tokio::time::timeout(patience, &mut ended).await {
        return ended.map(Some);
    }
    if let Some(group) = group {
        // It may have just ended.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = tokio::time::timeout(LAST_PATIENCE, ended).await;
    Ok(None)
}

/// What a program has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// On its standard output.
    pub output: String,
    /// On its standard error.
    pub error: String,
}

impl Answer {
    /// Whether it ended well.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// What went wrong, for people.
    pub fn complaint(&self) -> String {
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        let text = match self.error.trim() {
            "" => self.output.trim(),
            text => text,
        };
        format!("exit status {code}: {text}")
    }
}

/// The programs, behind a trait so that tests need none.
pub(super) trait Tools: Send + Sync {
    /// Whether the host has one ([`check`]).
    ///
    /// # Errors
    /// If not: what to install.
    fn check(&self, program: &str, packages: &str) -> Result<(), String>;

    /// Runs one to its end.
    ///
    /// # Errors
    /// If it can't be started, or takes too long.
    fn run<'a>(
        &'a self,
        program: &'a str,
        arguments: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Answer, String>>;
}

/// Those of the host.
pub(super) struct HostTools;

impl Tools for HostTools {
    fn check(&self, program: &str, packages: &str) -> Result<(), String> {
        check(program, packages)
    }

    fn run<'a>(
        &'a self,
        program: &'a str,
        arguments: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Answer, String>> {
        Box::pin(async move {
            let mut command = Command::new(program);
            command.args(arguments);
            let ended = run(command, PATIENCE).await;
            let ended = ended.map_err(|e| format!("{program}: {e}"))?;
            let ended = ended.ok_or_else(|| format!("{program} doesn't end"))?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Ok(Answer {
                code: ended.status.code(),
                output: text(&ended.stdout),
                error: text(&ended.stderr),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_ends_with_all_that_it_began() {
        let mut helper = Command::new("sh");
        helper.args(["-c", "sleep 600 & wait"]);
        // It holds the pipe: were it left, this would wait for it.
        let begun = std::time::Instant::now();
        let ended = run(helper, Duration::from_millis(50)).await.unwrap();
        assert!(ended.is_none() && begun.elapsed() < LAST_PATIENCE);
        let quick = HostTools.run("sh", &["-c", "echo why >&2; exit 3"]).await;
        let quick = quick.unwrap();
        assert_eq!((quick.code, quick.is_success()), (Some(3), false));
        assert_eq!(quick.complaint(), "exit status 3: why");
    }

    #[test]
    fn a_host_without_the_tool_says_what_is_missing() {
        let missing = check_at(&["/nowhere"], "mount.nfs", "nfs-common").unwrap_err();
        let expected = "mount.nfs is missing on this node: install nfs-common";
        assert_eq!(missing, expected);
    }
}
