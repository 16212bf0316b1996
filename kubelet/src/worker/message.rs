//! The last words of a container: its termination message.

use super::observed::Instance;
use k8s_openapi::api::core::v1::Container;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Largest message from its file.
const MAX_FILE: u64 = 4096;
/// Largest message from the log, in bytes and lines.
const MAX_LOG: u64 = 2048;
const MAX_LOG_LINES: usize = 80;
/// How much of a log's end is looked at: its lines carry time and stream.
const LOG_TAIL: u64 = 16 << 10;

/// Where messages are: no link below these is followed, and nothing read that
/// is elsewhere.
pub struct Roots<'a> {
    /// The pod's directory.
    pub pod: &'a Path,
    /// The directory of pods' logs.
    pub logs: &'a Path,
}

/// Reads it: from its file, or from the end of the log if there is none and
/// the container failed and wants that.
pub async fn read(container: &Container, instance: &Instance, roots: Roots<'_>) -> Option<String> {
    if let Some(file) = &instance.message_file
        && let Some(text) = tail(roots.pod, Path::new(file), MAX_FILE).await
        && !text.is_empty()
    {
        return Some(text);
    }
    let policy = container.termination_message_policy.as_deref();
    if policy != Some("FallbackToLogsOnError") || instance.exit_code == 0 {
        return None;
    }
    let log = tail(roots.logs, Path::new(&instance.log_path), LOG_TAIL).await?;
    Some(last_lines(&log)).filter(|text| !text.is_empty())
}

async fn tail(root: &Path, path: &Path, size: u64) -> Option<String> {
    let mut file = crate::logs::open(root, path).ok()?;
    let length = file.metadata().await.ok()?.len();
    let start = length.saturating_sub(size);
    file.seek(std::io::SeekFrom::Start(start)).await.ok()?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes).await.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The contents of a CRI log's last lines.
fn last_lines(log: &str) -> String {
    let mut text: String = log
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(4, ' ');
            let (_time, _stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
            let content = parts.next().unwrap_or_default();
            let end = if tag.starts_with('F') { "\n" } else { "" };
            Some(format!("{content}{end}"))
        })
        .collect();
    let lines = text.lines().count();
    if lines > MAX_LOG_LINES {
        let kept: Vec<&str> = text.lines().skip(lines - MAX_LOG_LINES).collect();
        text = kept.join("\n") + "\n";
    }
    let limit = usize::try_from(MAX_LOG).unwrap_or(usize::MAX);
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.split_off(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_goes_before_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("message");
        let log = dir.path().join("0.log");
        std::fs::write(&log, "2026-01-01T00:00:00Z stderr F boom\n").unwrap();
        std::fs::write(&file, "").unwrap();
        let instance = Instance {
            exit_code: 1,
            message_file: Some(file.display().to_string()),
            log_path: log.display().to_string(),
            ..Default::default()
        };
        let read = async |container: &Container, instance: &Instance| {
            let roots = Roots {
                pod: dir.path(),
                logs: dir.path(),
            };
            read(container, instance, roots).await
        };
        let mut container = Container::default();
        assert_eq!(read(&container, &instance).await, None);
        container.termination_message_policy = Some("FallbackToLogsOnError".into());
        assert_eq!(read(&container, &instance).await.unwrap(), "boom\n");
        std::fs::write(&file, "words").unwrap();
        assert_eq!(read(&container, &instance).await.unwrap(), "words");
        // A mount of the host in its place is not the kubelet's to read out.
        let elsewhere = Instance {
            message_file: Some("/etc/passwd".into()),
            log_path: "/etc/passwd".into(),
            ..instance
        };
        assert_eq!(read(&container, &elsewhere).await, None);
    }
}
