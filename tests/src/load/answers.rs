//! What an API server's answer says of an operation. Pure.

use serde_json::Value;

use crate::history::{Action, Event, Items, Kind, Outcome};
use crate::http::Answer;

/// Names of the load's objects begin so; others in the namespace are somebody else's.
pub(super) const PREFIX: &str = "load-";

/// Where an object has its value.
pub(super) fn value_of(object: &Value) -> String {
    text(&object["data"]["value"])
}

/// What came of an operation.
pub(super) fn outcome(action: &Action, answer: &Answer) -> Outcome {
    let object = serde_json::from_str(&answer.body).unwrap_or_default();
    outcome_of(action, answer.status, &object, value_of)
}

/// What a status and the object that came with it, or null, say came of an operation, if an
/// object has its value there.
pub fn outcome_of(
    action: &Action,
    status: u16,
    object: &Value,
    value_of: impl Fn(&Value) -> String,
) -> Outcome {
    let is_get = matches!(action, Action::Get { .. });
    let is_create = matches!(action, Action::Create { .. });
    match status {
        // Whatever can't be read was not told.
        200..300 => done(action, object, value_of).unwrap_or(Outcome::Unknown),
        404 if !is_create => Outcome::NotFound,
        409 if is_create => Outcome::Exists,
        409 if !is_get => Outcome::Conflict,
        // What may have been done must not be told as something that invites to repeat (503).
        500 | 504 if !is_get => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}

fn done(action: &Action, object: &Value, value_of: impl Fn(&Value) -> String) -> Option<Outcome> {
    if object.is_null() {
        return None;
    }
    Some(match action {
        Action::Delete { .. } => Outcome::Done { revision: None },
        Action::Get { .. } => Outcome::Found {
            revision: revision_of(object)?,
            value: value_of(object),
        },
        Action::Create { .. } | Action::Update { .. } => Outcome::Done {
            revision: Some(revision_of(object)?),
        },
    })
}

/// The revision of a list and its items.
pub(super) fn list(body: &str) -> Option<(u64, Items)> {
    let list: Value = serde_json::from_str(body).ok()?;
    let mut items = Items::new();
    for item in list["items"].as_array()? {
        let name = text(&item["metadata"]["name"]);
        if name.starts_with(PREFIX) {
            items.insert(name, (revision_of(item)?, value_of(item)));
        }
    }
    Some((revision_of(&list)?, items))
}

/// What a line of a watch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Something of the load's.
    Event(Event),
    /// Something of somebody else's.
    Other,
    /// The watch is over, and can't be gone on with.
    End,
}

/// Reads a line of a watch that came at a moment.
pub(super) fn line(text_of_line: &str, at: std::time::Duration) -> Line {
    let Ok(event) = serde_json::from_str::<Value>(text_of_line) else {
        return Line::End;
    };
    let object = &event["object"];
    let kind = match event["type"].as_str() {
        Some("ADDED") => Kind::Added,
        Some("MODIFIED") => Kind::Modified,
        Some("DELETED") => Kind::Deleted,
        Some("BOOKMARK") => Kind::Bookmark,
        _ => return Line::End,
    };
    let Some(revision) = revision_of(object) else {
        return Line::End;
    };
    let key = text(&object["metadata"]["name"]);
    match kind == Kind::Bookmark || key.starts_with(PREFIX) {
        false => Line::Other,
        true => Line::Event(Event {
            at,
            kind,
            key,
            revision,
            value: value_of(object),
        }),
    }
}

/// An object's revision, or a list's.
pub fn revision_of(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.to_owned(),
        }
    }

    const OBJECT: &str =
        r#"{"metadata":{"name":"load-1","resourceVersion":"7"},"data":{"value":"a"}}"#;

    #[test]
    fn codes_say_what_came_of_an_operation() {
        let create = Action::Create { value: "a".into() };
        let update = Action::Update {
            expected: 6,
            value: "a".into(),
        };
        let delete = Action::Delete { expected: None };
        let get = Action::Get { stale: false };
        let done = Outcome::Done { revision: Some(7) };
        let found = Outcome::Found {
            revision: 7,
            value: "a".to_owned(),
        };
        for (action, status, expected) in [
            (&create, 201, done.clone()),
            (&update, 200, done),
            (&get, 200, found),
            (&delete, 200, Outcome::Done { revision: None }),
            (&create, 409, Outcome::Exists),
            (&update, 409, Outcome::Conflict),
            (&get, 404, Outcome::NotFound),
            (&update, 504, Outcome::Unknown),
            (&get, 504, Outcome::Refused),
            (&update, 503, Outcome::Refused),
            (&create, 404, Outcome::Refused),
        ] {
            assert_eq!(
                outcome(action, &answer(status, OBJECT)),
                expected,
                "{action:?} {status}"
            );
        }
        assert_eq!(outcome(&update, &answer(200, "{")), Outcome::Unknown);
    }

    #[test]
    fn lines_of_a_watch_are_read() {
        let at = Duration::ZERO;
        let of = |kind: &str, object: &str| {
            line(&format!(r#"{{"type":"{kind}","object":{object}}}"#), at)
        };
        let Line::Event(event) = of("ADDED", OBJECT) else {
            panic!("an event");
        };
        assert_eq!(
            (event.kind, event.revision, event.value.as_str()),
            (Kind::Added, 7, "a")
        );
        assert_eq!(
            of("ADDED", &OBJECT.replace("load-1", "kube-root-ca.crt")),
            Line::Other
        );
        let bookmark = of("BOOKMARK", r#"{"metadata":{"resourceVersion":"9"}}"#);
        assert!(matches!(bookmark, Line::Event(Event { revision: 9, .. })));
        assert_eq!(of("ERROR", r#"{"code":410}"#), Line::End);
        assert_eq!(line("{", at), Line::End);
    }

    #[test]
    fn a_list_has_a_revision_and_only_our_items() {
        let other = OBJECT.replace("load-1", "other");
        let body =
            format!(r#"{{"metadata":{{"resourceVersion":"9"}},"items":[{OBJECT},{other}]}}"#);
        let (revision, items) = list(&body).unwrap();
        assert_eq!((revision, items.len()), (9, 1));
        assert_eq!(items["load-1"], (7, "a".to_owned()));
    }
}
