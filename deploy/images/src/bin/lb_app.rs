//! The tutorial's application for rolling updates and configuration: tells its
//! version, its host's name, and as whom it would speak to its database.

use std::fmt::Write;

use hardway_images::http::{Answer, Request, serve};
use hardway_images::{log, run_until_drained, setting};

fn main() -> nix::Result<()> {
    run_until_drained(|| {
        if let Err(error) = serve("lb-app", &setting("PORT", "9999"), answer) {
            log(&format!("lb-app ends: {error}"));
        }
    })
}

fn answer(request: &Request) -> Answer {
    match request.path.as_str() {
        "/" => Answer::text(page(|name| std::env::var(name).ok())),
        "/healthz" => Answer::text("ok\n".to_owned()),
        path => Answer::nothing_at(path),
    }
}

fn page(variable: impl Fn(&str) -> Option<String>) -> String {
    let unknown = || "unknown".to_owned();
    let mut page = format!(
        "VERSION: {}\nHOSTNAME: {}\n",
        variable("VERSION").unwrap_or_else(unknown),
        variable("HOSTNAME").unwrap_or_else(unknown)
    );
    for name in ["LBAPP_DB_USER", "LBAPP_DB_PWD"] {
        if let Some(value) = variable(name) {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{name}: {value}");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_of_the_database_only_if_it_was_told() {
        let bare = |name: &str| (name == "VERSION").then(|| "2".to_owned());
        assert_eq!(page(bare), "VERSION: 2\nHOSTNAME: unknown\n");
        let full = |name: &str| Some(name.to_lowercase());
        assert!(page(full).ends_with("LBAPP_DB_USER: lbapp_db_user\nLBAPP_DB_PWD: lbapp_db_pwd\n"));
    }
}
