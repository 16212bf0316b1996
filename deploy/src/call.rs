//! How the tool is called, so that what it tells to type works as it stands.

use std::path::Path;

/// The words that call the tool: `cargo hardway` from a clone, else what was typed.
pub fn tool() -> String {
    let typed = std::env::args().next().unwrap_or_default();
    words(std::env::var_os("CARGO").is_some(), &typed)
}

fn words(by_cargo: bool, typed: &str) -> String {
    match by_cargo {
        true => "cargo hardway".to_owned(),
        // In a folder it was found by its path, which is good again.
        false if typed.contains('/') && !Path::new(typed).is_absolute() => typed.to_owned(),
        false => "hardway".to_owned(),
    }
}

/// The command that was typed, with sudo if it was.
pub fn again() -> String {
    match std::env::var_os("SUDO_UID") {
        Some(_) => as_root(),
        None => format!("{} {}", tool(), rest()),
    }
}

fn rest() -> String {
    let rest: Vec<String> = std::env::args().skip(1).collect();
    rest.join(" ")
}

/// The command that was typed, as root.
pub fn as_root() -> String {
    let rest = rest();
    match tool().as_str() {
        // Of root's own environment cargo would find no toolchain.
        "cargo hardway" => {
            format!("sudo --preserve-env=PATH,CARGO_HOME,RUSTUP_HOME cargo hardway {rest}")
        }
        tool => format!("sudo {tool} {rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_is_named_as_it_was_called() {
        assert_eq!(words(true, "target/release/hardway"), "cargo hardway");
        assert_eq!(words(false, "target/debug/hardway"), "target/debug/hardway");
        assert_eq!(words(false, "hardway"), "hardway");
        assert_eq!(words(false, "/usr/bin/hardway"), "hardway");
    }
}
