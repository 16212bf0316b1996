//! What the units of a real host are told: facts of the cluster, the same on all
//! hosts, and facts of the host.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::failure::Result;
use crate::shell;

/// Name of the file with the cluster's facts, in /etc/hardway.
pub const CLUSTER: &str = "cluster.env";
/// Name of the file with the host's facts, in /etc/hardway.
pub const HOST: &str = "host.env";

/// Variables and their values.
pub type Variables = Vec<(String, String)>;

/// Writes the host's facts. Variables that the administrator has added stay; they
/// can be read back.
///
/// # Errors
/// If the file can't be written.
pub fn ensure_host(folder: &Path, address: Ipv4Addr) -> Result<()> {
    let path = folder.join(HOST);
    let old = shell::read_text(&path).unwrap_or_default();
    let text = with(&old, "ADDRESS", &address.to_string());
    shell::write_file(&path, text.as_bytes(), 0o644)
}

/// Writes the cluster's facts.
///
/// # Errors
/// If the file can't be written.
pub fn write_cluster(folder: &Path, variables: &Variables) -> Result<()> {
    let mut text =
        String::from("# Of the cluster, the same on all hosts; read by hardway's units.\n");
    for (name, value) in variables {
        let _ = writeln!(text, "{name}={value}");
    }
    shell::write_file(&folder.join(CLUSTER), text.as_bytes(), 0o644)
}

/// The variables in a file.
pub fn read(text: &str) -> Variables {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// A file's text in which a variable has this value, and all else is as it was.
fn with(text: &str, name: &str, value: &str) -> String {
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
        let write = |last| ensure_host(folder.path(), Ipv4Addr::new(10, 0, 0, last)).unwrap();
        let text = || shell::read_text(&folder.path().join(HOST)).unwrap();
        write(1);
        assert_eq!(
            read(&text()),
            [("ADDRESS".to_owned(), "10.0.0.1".to_owned())]
        );
        let path = folder.path().join(HOST);
        std::fs::write(&path, format!("{}# mine\nHTTPS_PROXY=http://p\n", text())).unwrap();
        write(2);
        assert!(
            text().contains("ADDRESS=10.0.0.2\n# mine\nHTTPS_PROXY=http://p\n"),
            "{}",
            text()
        );
        let before = text();
        write(2);
        assert_eq!(text(), before);
    }
}
