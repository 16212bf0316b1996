//! What the units of a real host are told: facts of the cluster, the same on all
//! hosts, and facts of the host.

use std::fmt::Write;
use std::path::Path;

use crate::failure::Result;
use crate::shell;

/// Name of the file with the cluster's facts, in /etc/hardway.
pub const CLUSTER: &str = "cluster.env";
/// Name of the file with the host's facts, in /etc/hardway.
pub const HOST: &str = "host.env";

/// Variables and their values.
pub type Variables = Vec<(String, String)>;

/// Writes the host's facts; says whether they have changed. Variables that the
/// administrator has added stay.
///
/// # Errors
/// If the file can't be written.
pub fn ensure_host(folder: &Path, variables: &[(&str, &str)]) -> Result<bool> {
    let path = folder.join(HOST);
    let old = shell::read_text(&path).unwrap_or_default();
    let text = variables
        .iter()
        .fold(old.clone(), |text, (name, value)| with(&text, name, value));
    shell::write_file(&path, text.as_bytes(), 0o644)?;
    Ok(text != old)
}

/// Writes the cluster's facts; says whether they have changed.
///
/// # Errors
/// If the file can't be written.
pub fn write_cluster(folder: &Path, variables: &Variables) -> Result<bool> {
    let path = folder.join(CLUSTER);
    let mut text =
        String::from("# Of the cluster, the same on all hosts; read by hardway's units.\n");
    for (name, value) in variables {
        let _ = writeln!(text, "{name}={value}");
    }
    let old = shell::read_text(&path).unwrap_or_default();
    shell::write_file(&path, text.as_bytes(), 0o644)?;
    Ok(text != old)
}

/// A file's text in which a variable has this value, and all else is as it was.
pub(super) fn with(text: &str, name: &str, value: &str) -> String {
    let line = format!("{name}={value}");
    let is_it = |line: &&str| line.split('=').next().map(str::trim) == Some(name);
    if text.is_empty() {
        return format!("# Of this host; read by hardway's units.\n{line}\n");
    }
    if !text.lines().any(|line| is_it(&line)) {
        return format!("{}\n{line}\n", text.trim_end());
    }
    let lines = text.lines().map(|old| match is_it(&old) {
        true => line.as_str(),
        false => old,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_administrator_added_stays() {
        let folder = tempfile::tempdir().unwrap();
        let write = |address| ensure_host(folder.path(), &[("ADDRESS", address)]).unwrap();
        let text = || shell::read_text(&folder.path().join(HOST)).unwrap();
        assert!(write("10.0.0.1"));
        assert!(text().ends_with("\nADDRESS=10.0.0.1\n"));
        let path = folder.path().join(HOST);
        std::fs::write(&path, format!("{}# mine\nHTTPS_PROXY=http://p\n", text())).unwrap();
        assert!(write("10.0.0.2"));
        assert!(
            text().contains("ADDRESS=10.0.0.2\n# mine\nHTTPS_PROXY=http://p\n"),
            "{}",
            text()
        );
        let before = text();
        assert!(!write("10.0.0.2"));
        assert_eq!(text(), before);
    }
}
