//! When certificates end.

use std::fs;
use std::path::Path;

use x509_parser::prelude::{FromDer, X509Certificate};

use super::Line;
use crate::pki::der_of;

/// Where renewal has not come by then, it will not.
const SOON: i64 = 7 * 86_400;

/// A certificate's name, and when it starts and ends, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The file's name.
    pub name: String,
    /// Its first second.
    pub from: i64,
    /// Its last second.
    pub ends: i64,
}

/// The certificates in a folder; what is none is left out.
pub fn read(folder: &Path) -> Vec<Life> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.map(|it| it.path());
    let mut all: Vec<Life> = files
        .filter(|it| it.extension().is_some_and(|it| it == "crt" || it == "pem"))
        .filter_map(|path| {
            let der = der_of(&fs::read_to_string(&path).ok()?).ok()?;
            let (_, certificate) = X509Certificate::from_der(&der).ok()?;
            let validity = certificate.validity();
            Some(Life {
                name: path.file_name()?.to_string_lossy().into_owned(),
                from: validity.not_before.timestamp(),
                ends: validity.not_after.timestamp(),
            })
        })
        .collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// Which of them end soon, or have ended.
pub fn check(lives: &[Life], now: i64) -> Line {
    const WHAT: &str = "certificates";
    let is_soon = |it: &&Life| it.ends - now < SOON.min((it.ends - it.from) / 5);
    let due: Vec<&Life> = lives.iter().filter(is_soon).collect();
    let Some(first) = lives.iter().min_by_key(|it| it.ends) else {
        return Line::unknown(WHAT, "there are none to read", "run it as root");
    };
    let days = |it: &Life| (it.ends - now) / 86_400;
    let way_out =
        "renew them:  hardway certificates renew on a control plane;  hardway up in a lab";
    match due.as_slice() {
        [] => Line::good(
            WHAT,
            format!(
                "{}; the first, {}, ends in {} days",
                lives.len(),
                first.name,
                days(first)
            ),
        ),
        due => {
            let names: Vec<String> = due.iter().take(4).map(|it| it.name.clone()).collect();
            match due.iter().any(|it| it.ends <= now) {
                true => Line::bad(
                    WHAT,
                    format!("ended or about to: {}", names.join(", ")),
                    way_out,
                ),
                false => Line::warning(
                    WHAT,
                    format!("end within days: {}", names.join(", ")),
                    way_out,
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn ends_are_told_when_they_are_near() {
        let life = |days: i64| Life {
            name: "apiserver.crt".to_owned(),
            from: -300 * 86_400,
            ends: days * 86_400,
        };
        assert_eq!(check(&[life(60)], 0).state, State::Good);
        assert_eq!(check(&[life(60), life(3)], 0).state, State::Warning);
        assert_eq!(check(&[life(-1)], 0).state, State::Bad);
        assert_eq!(check(&[], 0).state, State::Unknown);
    }
}
