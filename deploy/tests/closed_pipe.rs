//! A reader that goes away is no failure of the tool's: `hardway status | head`.

use std::process::{Command, Stdio};

/// Runs the tool with nobody reading what it prints; tells its exit status.
fn unread(arguments: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let errors = writer.try_clone().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_hardway"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .status()
        .unwrap();
    status.code()
}

#[test]
fn commands_end_as_if_they_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none").display().to_string();
    // A panic would make it 101.
    assert_eq!(unread(&["down", "--dir", &none]), Some(0));
    assert_eq!(unread(&["status", "--dir", &none]), Some(1));
    assert_eq!(unread(&["node", "kill", "x", "--dir", &none]), Some(1));
    assert_eq!(unread(&["--help"]), Some(0));
    let to = folder.path().join("certificates").display().to_string();
    assert_eq!(
        unread(&[
            "certificates",
            "make",
            "--out",
            &to,
            "--control-plane",
            "a=192.0.2.1"
        ]),
        Some(0)
    );
}
