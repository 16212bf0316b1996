//! Programs of this repository in pods. They come from the host, and so do the libraries
//! that they need: no image has to be built for a test.

use std::path::PathBuf;

use serde_json::{Value, json};

/// A program, built beside these tests.
#[track_caller]
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("find this program");
    let target = own.ancestors().nth(2).expect("the folder of the build");
    let program = target.join(name);
    assert!(
        program.exists(),
        "{} isn't there: cargo build --workspace --bins",
        program.display()
    );
    program
}

/// Mounts a program into the first container of a pod's spec, with its libraries.
pub fn mount(spec: &mut Value, name: &str, at: &str) {
    let program = built(name).display().to_string();
    for (name, from, to) in [
        ("program", program.as_str(), at),
        ("lib", "/lib", "/lib"),
        ("lib64", "/lib64", "/lib64"),
    ] {
        let volume = json!({"name": name, "hostPath": {"path": from}});
        push(&mut spec["volumes"], volume);
        let mount = json!({"name": name, "mountPath": to});
        push(&mut spec["containers"][0]["volumeMounts"], mount);
    }
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        none => *none = json!([item]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_comes_to_what_is_there() {
        let mut list = Value::Null;
        push(&mut list, json!(1));
        push(&mut list, json!(2));
        assert_eq!(list, json!([1, 2]));
    }
}
