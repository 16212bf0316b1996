//! Waiting for what the API tells by itself: a list, then whatever changes in it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::{Api, text};
use crate::failure::Result;

/// The apiserver has something to say at least every minute, if only that there is nothing new.
const SILENCE: Duration = Duration::from_secs(150);
/// Most that is left to the apiserver to end a watch by itself when its time is over.
const GOODBYE: Duration = Duration::from_secs(2);

/// What is heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// All there is.
    Listed(Vec<Value>),
    /// An object is new or has changed.
    Changed(Value),
    /// An object is gone; what it was last.
    Gone(Value),
}

/// Lists what is at a path (a resource, perhaps with selectors), then watches it, until `heard`
/// has heard enough; gives what it says then, or nothing if the deadline comes first.
///
/// # Errors
/// In the apiserver's words, or if it says nothing for long.
pub fn watch<T>(
    api: &Api,
    path: &str,
    deadline: Option<Instant>,
    mut heard: impl FnMut(Event) -> ControlFlow<T>,
) -> Result<Option<T>> {
    let more = if path.contains('?') { '&' } else { '?' };
    loop {
        let mut list = api.get(path)?.unwrap_or_default();
        let mut version = text(&list["metadata"]["resourceVersion"]).to_owned();
        let objects = list["items"].take();
        let objects = objects.as_array().cloned().unwrap_or_default();
        if let ControlFlow::Break(found) = heard(Event::Listed(objects)) {
            return Ok(Some(found));
        }
        // A watch ends by itself now and then, and goes on where it was.
        while !version.is_empty() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            // In whole seconds, rounded up.
            let seconds = left.map(|left| left.as_secs() + 1);
            let ends = seconds.map_or_else(String::new, |it| format!("&timeoutSeconds={it}"));
            let silence = seconds.map_or(SILENCE, |it| Duration::from_secs(it) + GOODBYE);
            let watched = format!(
                "{path}{more}watch=1&allowWatchBookmarks=true&resourceVersion={version}{ends}"
            );
            for line in api.lines(&watched, silence.min(SILENCE))? {
                let Ok(mut event) = serde_json::from_str::<Value>(&line?) else {
                    // It broke off in the middle of a line.
                    break;
                };
                let object = event["object"].take();
                let next = text(&object["metadata"]["resourceVersion"]).to_owned();
                let event = match text(&event["type"]) {
                    "ADDED" | "MODIFIED" => Event::Changed(object),
                    "DELETED" => Event::Gone(object),
                    "BOOKMARK" => {
                        version = next;
                        continue;
                    }
                    // Too old, most likely: from the start.
                    _ => {
                        version.clear();
                        break;
                    }
                };
                version = next;
                if let ControlFlow::Break(found) = heard(event) {
                    return Ok(Some(found));
                }
            }
        }
    }
}

/// Waits until what is at a path satisfies `enough`; gives what that says, or nothing if the
/// deadline comes first.
///
/// # Errors
/// As [`watch`].
pub fn until<T>(
    api: &Api,
    path: &str,
    deadline: Instant,
    mut enough: impl FnMut(&[Value]) -> Option<T>,
) -> Result<Option<T>> {
    let mut objects = Vec::new();
    watch(api, path, Some(deadline), |event| {
        take(&mut objects, event);
        enough(&objects).map_or(ControlFlow::Continue(()), ControlFlow::Break)
    })
}

/// The list in which the object at a path is the only one.
pub fn of_object(path: &str) -> String {
    let (list, name) = path.rsplit_once('/').unwrap_or((path, ""));
    format!("{list}?fieldSelector=metadata.name%3D{name}")
}

/// What there is after an event.
fn take(objects: &mut Vec<Value>, event: Event) {
    let uid = |object: &Value| object["metadata"]["uid"].clone();
    match event {
        Event::Listed(all) => *objects = all,
        Event::Gone(gone) => objects.retain(|object| uid(object) != uid(&gone)),
        Event::Changed(changed) => {
            let there = objects.iter_mut().find(|it| uid(it) == uid(&changed));
            match there {
                Some(object) => *object = changed,
                None => objects.push(changed),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_there_is_follows_the_events() {
        let object = |uid: &str, n: i64| json!({"metadata": {"uid": uid}, "n": n});
        let mut objects = Vec::new();
        take(
            &mut objects,
            Event::Listed(vec![object("a", 1), object("b", 1)]),
        );
        take(&mut objects, Event::Changed(object("a", 2)));
        take(&mut objects, Event::Changed(object("c", 1)));
        take(&mut objects, Event::Gone(object("b", 1)));
        assert_eq!(objects, [object("a", 2), object("c", 1)]);
        take(&mut objects, Event::Listed(vec![object("d", 1)]));
        assert_eq!(objects, [object("d", 1)]);
    }

    #[test]
    fn one_object_is_watched_as_a_list() {
        assert_eq!(
            of_object("/apis/apps/v1/namespaces/a/deployments/web"),
            "/apis/apps/v1/namespaces/a/deployments?fieldSelector=metadata.name%3Dweb"
        );
    }
}
