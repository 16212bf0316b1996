//! The frames of a watch: a line of JSON for each event.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use hardway_proto::Status;
use hardway_proto::api::{EventType, Object, WatchEvent};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tonic::body::Body;

/// The annotation of the bookmark that ends the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What a line tells.
fn event(line: Bytes) -> Result<WatchEvent, Status> {
    let unreadable =
        |why: &dyn std::fmt::Display| Status::internal(format!("the watch can't be read: {why}"));
    let frame: Frame<'_> = serde_json::from_slice(&line).map_err(|e| unreadable(&e))?;
    let json = line.slice_ref(frame.object.get().as_bytes());
    let kind = match frame.r#type.as_ref() {
        "ADDED" => EventType::Added,
        "MODIFIED" => EventType::Modified,
        "DELETED" => EventType::Deleted,
        "BOOKMARK" => EventType::Bookmark,
        "ERROR" => EventType::Error,
        other => return Err(unreadable(&format!("an event of type {other:?}"))),
    };
    let object = match kind {
        EventType::Error => Object {
            json,
            ..Object::default()
        },
        _ => Object::of_json(json),
    };
    Ok(WatchEvent {
        r#type: kind.into(),
        initial_events_end: kind == EventType::Bookmark && ends_initial_events(&object.json),
        object: Some(object),
    })
}

fn ends_initial_events(bookmark: &[u8]) -> bool {
    let bookmark: Value = serde_json::from_slice(bookmark).unwrap_or_default();
    bookmark["metadata"]["annotations"][INITIAL_EVENTS_END] == "true"
}

/// The bookmark that ends initial events that were listed at this revision.
pub(super) fn initial_events_end(resource_version: i64) -> WatchEvent {
    let json = serde_json::json!({"metadata": {
        "resourceVersion": resource_version.to_string(),
        "annotations": {INITIAL_EVENTS_END: "true"},
    }});
    WatchEvent {
        r#type: EventType::Bookmark.into(),
        object: Some(Object::of_json(json.to_string().into())),
        initial_events_end: true,
    }
}

/// An object that was there when the watch began.
pub(super) fn initial(object: Object) -> WatchEvent {
    WatchEvent {
        r#type: EventType::Added.into(),
        object: Some(object),
        initial_events_end: false,
    }
}

/// Takes a body apart into lines.
struct Lines {
    body: Body,
    /// What has come and makes no whole line yet.
    begun: BytesMut,
}

impl Lines {
    /// The next line that isn't empty. One that was cut off is none: its event comes
    /// again with the next watch.
    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let mut searched = 0;
        loop {
            let end = self.begun[searched..].iter().position(|b| *b == b'\n');
            if let Some(end) = end {
                let line = self.begun.split_to(searched + end + 1).freeze();
                searched = 0;
                if line.iter().any(|b| !b.is_ascii_whitespace()) {
                    return Ok(Some(line));
                }
                continue;
            }
            searched = self.begun.len();
            if searched > super::LARGEST {
                let text = format!("an event of more than {} bytes", super::LARGEST);
                return Err(Status::too_large(text));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.begun.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    let text = format!("the watch broke off: {}", error.message());
                    return Err(Status::unavailable(text));
                }
            }
        }
    }
}

/// The events of a watch that was begun; it ends after an error.
pub(super) fn events(body: Body) -> impl Stream<Item = Result<WatchEvent, tonic::Status>> + Send {
    let lines = Lines {
        body,
        begun: BytesMut::new(),
    };
    stream::unfold(Some(lines), |lines| async move {
        let mut lines = lines?;
        let event = match lines.next().await {
            Ok(Some(line)) => event(line),
            Ok(None) => return None,
            Err(status) => Err(status),
        };
        let goes_on = matches!(&event, Ok(event) if event.r#type() != EventType::Error);
        Some((event.map_err(tonic::Status::from), goes_on.then_some(lines)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use http_body::Frame as BodyFrame;
    use http_body_util::StreamBody;

    /// Lines as Kubernetes 1.20 sends them.
    const LINES: &str = concat!(
        r#"{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"default","uid":"u","resourceVersion":"213"},"data":{"k":"a\nb"}}}"#,
        "\n",
        r#"{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"240","creationTimestamp":null}}}"#,
        "\n",
        r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (200)","reason":"Expired","code":410}}"#,
        "\n",
        r#"{"type":"ADDED","object":{"kind":"ConfigMap"}}"#,
        "\n",
    );

    async fn read(pieces: impl IntoIterator<Item = &[u8]>) -> Vec<WatchEvent> {
        let pieces: Vec<_> = pieces
            .into_iter()
            .map(|piece| Ok::<_, tonic::Status>(BodyFrame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = Body::new(StreamBody::new(stream::iter(pieces)));
        events(body).map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn events_come_whole_however_they_are_cut() {
        for size in [1, 7, 160, 4096] {
            let events = read(LINES.as_bytes().chunks(size)).await;
            let [added, bookmark, error] = events.as_slice() else {
                panic!("the error is the end: {events:?}");
            };
            let object = added.object.as_ref().unwrap();
            assert_eq!((object.name.as_str(), object.resource_version), ("a", 213));
            assert_eq!(bookmark.r#type(), EventType::Bookmark);
            assert!(!bookmark.initial_events_end);
            assert_eq!(bookmark.object.as_ref().unwrap().resource_version, 240);
            let json = &error.object.as_ref().unwrap().json;
            let status: Status = serde_json::from_slice(json).unwrap();
            assert!(status.is_expired(), "{status:?}");
        }
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_is_none() {
        let cut = &LINES.as_bytes()[..LINES.find("BOOKMARK").unwrap()];
        assert_eq!(read([cut]).await.len(), 1);
    }

    #[test]
    fn the_end_of_initial_events_is_marked() {
        let end = initial_events_end(7);
        let object = end.object.unwrap();
        assert_eq!(object.resource_version, 7);
        let json = String::from_utf8(object.json.to_vec()).unwrap();
        let line = format!("{{\"type\":\"BOOKMARK\",\"object\":{json}}}\n");
        assert!(event(line.into()).unwrap().initial_events_end);
        assert!(event(Bytes::from_static(b"{\"type\":\"X\",\"object\":{}}\n")).is_err());
    }
}
