//! What must hold for any input: one function for each target, fed with raw bytes.
//!
//! A target panics where its property doesn't hold. They are called by the fuzzer
//! (`fuzz_targets/`), and by `tests/replay.rs` with everything that was ever found,
//! which needs no fuzzer. Adding one: a function here, a line in [`TARGETS`], a file
//! in `fuzz_targets/` with its `[[bin]]`, and a seed in `corpus/`.

mod apply;
mod bodies;
mod expressions;
mod fields;
mod invent;
mod patches;
mod selectors;
mod strategic;
mod streams;

pub use apply::apply;
pub use bodies::{continue_token, protobuf, quantity, strict, yaml};
pub use expressions::expression;
pub use fields::field_set;
pub use patches::{json_patch, merge_patch};
pub use selectors::{field_selector, label_selector};
pub use strategic::strategic_merge;
pub use streams::spdy;

/// A target: takes any bytes, and panics if something is wrong.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 14] = [
    ("apply", apply),
    ("continue_token", continue_token),
    ("expression", expression),
    ("field_selector", field_selector),
    ("field_set", field_set),
    ("json_patch", json_patch),
    ("label_selector", label_selector),
    ("merge_patch", merge_patch),
    ("protobuf", protobuf),
    ("quantity", quantity),
    ("spdy", spdy),
    ("strategic_merge", strategic_merge),
    ("strict", strict),
    ("yaml", yaml),
];
