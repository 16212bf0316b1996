//! Block devices that become folders: formatted if they are empty, checked, and mounted, as
//! Kubernetes does (`SafeFormatAndMount` of `k8s.io/mount-utils`).

use super::host_tools::{Answer, Tools};
use std::path::Path;

/// The file system that a device gets if nothing is said.
pub(super) const DEFAULT_FS_TYPE: &str = "ext4";
/// What blkid(8) answers where it finds nothing.
const NOTHING_FOUND: i32 = 2;
/// From here on fsck(8) found errors that it left.
const UNCORRECTED: i32 = 4;

/// Mounts a device at a folder.
///
/// # Errors
/// If it holds something else than such a file system, or one that is broken.
pub(super) async fn format_and_mount(
    tools: &dyn Tools,
    device: &Path,
    at: &Path,
    fs_type: &str,
    options: &[String],
) -> Result<(), String> {
    let (source, target) = (device.to_string_lossy(), at.to_string_lossy());
    let found = probe(tools, &source).await?;
    let is_read_only = options.iter().any(|option| option == "ro");
    match (&found, is_read_only) {
        (None, true) => {
            return Err(format!(
                "cannot mount unformatted disk {source} as we are manipulating it in read-only mode"
            ));
        }
        (None, false) => make(tools, &source, fs_type).await?,
        (Some(_), false) => check(tools, &source).await?,
        (Some(_), true) => {}
    }
    let options = [&["defaults".to_owned()][..], options].concat().join(",");
    let arguments = ["-t", fs_type, "-o", &options, "--", &source, &target];
    let mounted = tools.run("mount", &arguments).await?;
    match found {
        _ if mounted.is_success() => Ok(()),
        Some(found) if found != fs_type => Err(format!(
            "failed to mount the volume as {fs_type:?}, it already contains {found}. Mount error: {}",
            mounted.complaint()
        )),
        _ => Err(format!("mount failed: {}", mounted.complaint())),
    }
}

/// What is on a device, if anything.
async fn probe(tools: &dyn Tools, device: &str) -> Result<Option<String>, String> {
    let arguments = ["-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", device];
    let answer = tools.run("blkid", &arguments).await?;
    match answer.code {
        Some(0) => Ok(kind(&answer)),
        Some(NOTHING_FOUND) => Ok(None),
        _ => Err(format!("blkid failed: {}", answer.complaint())),
    }
}

fn kind(answer: &Answer) -> Option<String> {
    let field = |name: &str| {
        let mut lines = answer.output.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    match field("PTTYPE") {
        Some(_) => Some("unknown data, probably partitions".to_owned()),
        None => field("TYPE"),
    }
}

async fn make(tools: &dyn Tools, device: &str, fs_type: &str) -> Result<(), String> {
    let program = format!("mkfs.{fs_type}");
    let arguments: &[&str] = match fs_type {
        // Nothing is kept for root: pods are who fills it.
        "ext3" | "ext4" => &["-F", "-m0", device],
        "xfs" => &["-f", device],
        _ => &[device],
    };
    let made = tools.run(&program, arguments).await?;
    match made.is_success() {
        true => Ok(()),
        false => Err(format!("{program} failed: {}", made.complaint())),
    }
}

async fn check(tools: &dyn Tools, device: &str) -> Result<(), String> {
    // A host without it mounts all the same.
    let Ok(checked) = tools.run("fsck", &["-a", device]).await else {
        return Ok(());
    };
    match checked.code {
        Some(UNCORRECTED) => Err(format!(
            "'fsck' found errors on device {device} but could not correct them: {}.",
            checked.complaint()
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::BoxFuture;
    use parking_lot::Mutex;

    /// Answers by program, and notes what was run.
    #[derive(Default)]
    struct Script {
        answers: Vec<(&'static str, i32, &'static str)>,
        ran: Mutex<Vec<String>>,
    }

    impl Tools for Script {
        fn check(&self, _program: &str, _packages: &str) -> Result<(), String> {
            Ok(())
        }

        fn run<'a>(
            &'a self,
            program: &'a str,
            arguments: &'a [&'a str],
        ) -> BoxFuture<'a, Result<Answer, String>> {
            self.ran
                .lock()
                .push(format!("{program} {}", arguments.join(" ")));
            let mut answers = self.answers.iter();
            let answer = answers.find(|(of, ..)| *of == program);
            let (code, text) = answer.map_or((0, ""), |(_, code, text)| (*code, *text));
            let answer = Answer {
                code: Some(code),
                output: text.to_owned(),
                error: String::new(),
            };
            Box::pin(std::future::ready(Ok(answer)))
        }
    }

    /// The outcome, and the programs that were run.
    async fn mount(
        answers: Vec<(&'static str, i32, &'static str)>,
        options: &[&str],
    ) -> (Result<(), String>, Vec<String>) {
        let script = Script {
            answers,
            ..Script::default()
        };
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let (device, at) = (Path::new("/dev/sdb"), Path::new("/m"));
        let outcome = format_and_mount(&script, device, at, "ext4", &options).await;
        let ran = script.ran.into_inner();
        let programs = ran
            .iter()
            .map(|line| line.split(' ').next().unwrap_or_default());
        (outcome, programs.map(str::to_owned).collect())
    }

    /// The cases of `TestSafeFormatAndMount`.
    #[tokio::test]
    async fn only_what_is_empty_is_formatted() {
        let empty = || ("blkid", 2, "");
        let (done, ran) = mount(vec![empty()], &[]).await;
        assert_eq!(done, Ok(()));
        assert_eq!(ran, ["blkid", "mkfs.ext4", "mount"]);
        let (refused, ran) = mount(vec![empty()], &["ro"]).await;
        assert!(refused.unwrap_err().contains("in read-only mode"));
        assert_eq!(ran, ["blkid"]);
        let (failed, ran) = mount(vec![empty(), ("mkfs.ext4", 1, "no")], &[]).await;
        assert!(failed.unwrap_err().contains("mkfs.ext4 failed"));
        assert_eq!(ran, ["blkid", "mkfs.ext4"]);
        let there = || ("blkid", 0, "DEVNAME=/dev/sdb\nTYPE=ext4\n");
        let (done, ran) = mount(vec![there()], &[]).await;
        assert_eq!(
            (done, ran),
            (Ok(()), ["blkid", "fsck", "mount"].map(str::to_owned).into())
        );
        let (done, ran) = mount(vec![there()], &["ro"]).await;
        assert_eq!(
            (done, ran),
            (Ok(()), ["blkid", "mount"].map(str::to_owned).into())
        );
        let (done, _) = mount(vec![there(), ("fsck", 1, "corrected")], &[]).await;
        assert_eq!(done, Ok(()));
        let (broken, ran) = mount(vec![there(), ("fsck", 4, "bad")], &[]).await;
        assert!(
            broken
                .unwrap_err()
                .starts_with("'fsck' found errors on device /dev/sdb")
        );
        assert_eq!(ran, ["blkid", "fsck"]);
        let other = ("blkid", 0, "PTTYPE=dos\n");
        let (other, ran) = mount(vec![other, ("mount", 32, "wrong fs type")], &[]).await;
        assert!(
            other
                .unwrap_err()
                .contains("it already contains unknown data, probably partitions")
        );
        assert_eq!(ran, ["blkid", "fsck", "mount"], "whatever is there stays");
        let (silent, ran) = mount(vec![("blkid", 4, "usage")], &[]).await;
        assert!(silent.is_err());
        assert_eq!(ran, ["blkid"]);
    }
}
