//! What a manifest leaves out of the tests has none: a test that nobody runs is worse than none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// All targets of the workspace, as cargo sees them.
fn targets() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let targets = packages.iter().map(|it| it["targets"].as_array().unwrap());
    targets.flatten().cloned().collect()
}

/// The file that a target begins with.
fn source(target: &Value) -> PathBuf {
    PathBuf::from(target["src_path"].as_str().unwrap())
}

fn is(target: &Value, kind: &str) -> bool {
    target["kind"]
        .as_array()
        .unwrap()
        .iter()
        .any(|it| it == kind)
}

/// All Rust files of a folder and those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let below = folders.iter().flat_map(|folder| self::files(folder));
    files.chain(below).collect()
}

/// Whether documentation has a block of code that rustdoc would run.
fn has_example(text: &str) -> bool {
    let mut inside = false;
    text.lines()
        .map(str::trim_start)
        .filter_map(|line| line.strip_prefix("///").or(line.strip_prefix("//!")))
        .filter_map(|line| line.trim_start().strip_prefix("```"))
        .any(|language| {
            inside = !inside;
            let words = ["", "rust", "no_run", "should_panic", "compile_fail"];
            inside && language.split(',').any(|word| words.contains(&word.trim()))
        })
}

#[test]
fn libraries_whose_examples_are_not_run_have_none() {
    let left_out: Vec<Value> = targets()
        .into_iter()
        .filter(|target| is(target, "lib") && target["doctest"] == false)
        .collect();
    assert!(!left_out.is_empty());
    for target in left_out {
        for file in files(source(&target).parent().unwrap()) {
            let text = fs::read_to_string(&file).unwrap();
            let way_out = "take `doctest = false` out of its Cargo.toml";
            assert!(!has_example(&text), "{}: {way_out}", file.display());
        }
    }
}

#[test]
fn programs_whose_tests_are_not_run_have_none() {
    let left_out: Vec<Value> = targets()
        .into_iter()
        .filter(|target| is(target, "bin") && target["test"] == false)
        // Fuzz targets have a harness of their own.
        .filter(|target| !source(target).iter().any(|part| part == "fuzz"))
        .collect();
    assert!(!left_out.is_empty());
    for target in left_out {
        let file = source(&target);
        let text = fs::read_to_string(&file).unwrap();
        // What is beside `main.rs` belongs to the library.
        let alone = !text.lines().any(|line| line.starts_with("mod "));
        let way_out = "take `test = false` out of its Cargo.toml";
        assert!(
            alone && !text.contains("#[test]"),
            "{}: {way_out}",
            file.display()
        );
    }
}

#[test]
fn an_example_is_told_from_other_blocks() {
    assert!(has_example("/// ```\n/// let x = 1;\n/// ```"));
    assert!(has_example("    //! ```rust,no_run\n    //! ```"));
    assert!(!has_example("//! ```text\n//! GET /\n//! ```\n/// words"));
    assert!(!has_example("let text = \"```\";"));
}
