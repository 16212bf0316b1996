//! Settings of the kernel that the kubelet counts on: memory is granted until
//! it is used, and a kernel in trouble restarts rather than hangs.

use std::fs;
use std::path::Path;

/// Sysctls below `/proc/sys`, and what they must be.
const EXPECTED: [(&str, i64); 6] = [
    ("vm/overcommit_memory", 1),
    ("vm/panic_on_oom", 0),
    ("kernel/panic", 10),
    ("kernel/panic_on_oops", 1),
    ("kernel/keys/root_maxkeys", 1_000_000),
    ("kernel/keys/root_maxbytes", 25_000_000),
];

/// What of it is otherwise, one complaint each; empty if all is well. `root`
/// is `/proc/sys`.
pub fn complaints(root: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, expected) in EXPECTED {
        match fs::read_to_string(root.join(name)) {
            Ok(text) if text.trim().parse() == Ok(expected) => {}
            Ok(text) => complaints.push(format!(
                "invalid kernel flag: {name}, expected value: {expected}, actual value: {}",
                text.trim()
            )),
            Err(error) => complaints.push(format!(
                "kernel flag {name} cannot be read, expected value: {expected}: {error}"
            )),
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_that_is_otherwise_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in EXPECTED {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        assert_eq!(complaints(dir.path()), [""; 0]);
        fs::write(dir.path().join("kernel/panic"), "0\n").unwrap();
        fs::remove_file(dir.path().join("vm/panic_on_oom")).unwrap();
        let found = complaints(dir.path());
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("kernel flag vm/panic_on_oom cannot be read"));
        assert_eq!(
            found[1],
            "invalid kernel flag: kernel/panic, expected value: 10, actual value: 0"
        );
    }
}
