//! Whether a CA, or the key of service accounts, is in the middle of being replaced.

use super::Line;
use crate::pki::Pki;
use crate::rotation::material::{CAS, Kind, Material};
use crate::rotation::steps::{Stage, State, stage};

const WHAT: &str = "rotation";

/// Of the files in a folder; nothing where there are none.
pub fn look(pki: &Pki) -> Option<Line> {
    let kinds = [CAS.as_slice(), &[Kind::ServiceAccounts]].concat();
    let states = kinds.into_iter().filter_map(|kind| {
        let state = Material::new(pki, kind).state().ok()?;
        Some((kind, state))
    });
    check(&states.collect::<Vec<_>>())
}

fn check(states: &[(Kind, State)]) -> Option<Line> {
    let word = |(kind, state): &(Kind, State)| match stage(state) {
        Stage::Settled => None,
        Stage::Trust => Some(format!(
            "{} has a next one, which doesn't sign yet",
            kind.name()
        )),
        Stage::Sign => Some(format!("the former of {} is still believed", kind.name())),
    };
    let under_way: Vec<String> = states.iter().filter_map(word).collect();
    match (states, under_way.as_slice()) {
        ([], _) => None,
        (_, []) => Some(Line::good(WHAT, "no CA and no key is being replaced")),
        (_, all) => Some(Line::warning(
            WHAT,
            all.join("; "),
            "who is waited for:  hardway certificates status;  to go on:  hardway certificates rotate-ca --resume, or rotate-service-account-key --resume",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State as Verdict;
    use super::*;

    #[test]
    fn a_rotation_that_was_left_is_told_of() {
        let settled = State {
            believed: vec!["a".into()],
            signs: "a".into(),
            ..State::default()
        };
        assert_eq!(check(&[]), None);
        let line = check(&[(Kind::Ca, settled.clone())]).unwrap();
        assert_eq!(line.state, Verdict::Good);
        let begun = State {
            next: Some("b".into()),
            ..settled.clone()
        };
        let line = check(&[(Kind::EtcdCa, settled), (Kind::Ca, begun)]).unwrap();
        assert_eq!(line.state, Verdict::Warning);
        assert_eq!(
            line.says,
            "the cluster's CA has a next one, which doesn't sign yet"
        );
    }
}
