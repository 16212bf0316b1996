//! Which of its names a definition gets: those that no other of its group has. In the
//! words of `pkg/controller/status/naming_controller.go` of
//! k8s.io/apiextensions-apiserver.

use crate::rules::json::{get, list, set, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Why not all names were accepted: reason and message of the condition.
pub(super) type Conflict = (&'static str, String);

/// The names that a definition has from now on, of those it asks for and those it
/// had; and what stands in the way of the others. `taken` are those of other
/// definitions of its group.
pub(super) fn accept(asked: &Value, had: &Value, taken: &[&Value]) -> (Value, Option<Conflict>) {
    let of_others = |fields: &[&str]| -> BTreeSet<&str> {
        let names = taken.iter().flat_map(|names| {
            let short = list(names, "shortNames").iter().filter_map(Value::as_str);
            let short = short.filter(|_| fields.contains(&"shortNames"));
            fields.iter().map(|field| text(names, field)).chain(short)
        });
        names.filter(|name| !name.is_empty()).collect()
    };
    let resources = of_others(&["plural", "singular", "shortNames"]);
    let kinds = of_others(&["kind", "listKind"]);
    let in_use = |name: &str| format!("{name:?} is already in use");
    let mut names = had.clone();
    if !names.is_object() {
        names = json!({"plural": "", "kind": ""});
    }
    let mut conflict = None;
    for (field, used, reason) in [
        ("plural", &resources, "PluralConflict"),
        ("singular", &resources, "SingularConflict"),
        ("shortNames", &resources, "ShortNamesConflict"),
        ("kind", &kinds, "KindConflict"),
        ("listKind", &kinds, "ListKindConflict"),
    ] {
        let taken = |name: &&str| used.contains(name);
        let wrong: Vec<String> = match field {
            "shortNames" => {
                let own = list(had, field);
                let new = list(asked, field).iter().filter(|name| !own.contains(name));
                new.filter_map(Value::as_str)
                    .filter(taken)
                    .map(in_use)
                    .collect()
            }
            _ => {
                let name = Some(text(asked, field)).filter(|name| *name != text(had, field));
                name.filter(taken).map(in_use).into_iter().collect()
            }
        };
        match wrong.as_slice() {
            [] => take(&mut names, asked, field),
            [one] => conflict = Some((reason, one.clone())),
            many => conflict = Some((reason, format!("[{}]", many.join(", ")))),
        }
    }
    // Anybody may be in a category.
    take(&mut names, asked, "categories");
    (names, conflict)
}

fn take(names: &mut Value, asked: &Value, field: &str) {
    match get(asked, field) {
        Value::Null => drop(names.as_object_mut().and_then(|names| names.remove(field))),
        name => set(names, field, name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({"plural": plural, "singular": format!("{plural}x"), "kind": kind,
            "listKind": format!("{kind}List"), "shortNames": short})
    }

    #[test]
    fn names_are_given_once() {
        let knobs = names("knobs", "Knob", &["kn"]);
        let (first, conflict) = accept(&knobs, &Value::Null, &[]);
        assert_eq!((&first, conflict), (&knobs, None));

        // The last of them that is in the way is told.
        let knobz = names("knobz", "Knob", &["kn", "kz"]);
        let (second, conflict) = accept(&knobz, &Value::Null, &[&first]);
        assert_eq!(
            conflict,
            Some((
                "ListKindConflict",
                "\"KnobList\" is already in use".to_owned()
            ))
        );
        assert_eq!(
            second,
            json!({"plural": "knobz", "singular": "knobzx", "kind": ""})
        );
        // It is free, and so all is well.
        assert_eq!(accept(&knobz, &second, &[]), (knobz, None));

        for (asked, reason) in [
            (names("knobs", "A", &[]), "SingularConflict"),
            (json!({"plural": "knobs", "kind": "A"}), "PluralConflict"),
            (names("kn", "A", &[]), "PluralConflict"),
            (names("as", "A", &["knobs"]), "ShortNamesConflict"),
            (
                json!({"plural": "as", "kind": "KnobList", "listKind": "X"}),
                "KindConflict",
            ),
        ] {
            let (_, conflict) = accept(&asked, &Value::Null, &[&first]);
            assert_eq!(conflict.map(|(reason, _)| reason), Some(reason), "{asked}");
        }
    }

    #[test]
    fn names_that_one_has_stay() {
        let had = names("knobs", "Knob", &["kn"]);
        let mut asked = had.clone();
        asked["shortNames"] = json!(["kn", "k", "dial"]);
        let other = names("dials", "Dial", &["k", "dial"]);
        let (names, conflict) = accept(&asked, &had, &[&other]);
        assert_eq!(names, had);
        let text = "[\"k\" is already in use, \"dial\" is already in use]";
        assert_eq!(conflict, Some(("ShortNamesConflict", text.to_owned())));
    }
}
