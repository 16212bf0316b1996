//! Lists: a page for each request, and messages of about a MiB of it.

use bytes::Bytes;
use hardway_proto::Status;
use hardway_proto::api::{ListPage, Object};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Objects asked for at once, as client-go does (`defaultPageSize` of its pager).
pub(super) const PAGE: i64 = 500;
/// Messages hold about this many bytes.
const MESSAGE: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default, borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    resource_version: String,
    r#continue: String,
    remaining_item_count: Option<i64>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    kind: String,
}

/// What one request for a list gave.
pub(super) struct Page {
    items: Vec<Object>,
    pub(super) resource_version: i64,
    /// What to ask for the next page with; empty on the last one.
    pub(super) next: String,
    remaining: i64,
}

impl Page {
    pub(super) fn read(body: &Bytes) -> Result<Self, Status> {
        let list: List<'_> = serde_json::from_slice(body)
            .map_err(|error| Status::internal(format!("the list can't be read: {error}")))?;
        let items = list.items.unwrap_or_default();
        let head = head(&list.kind, &list.api_version, items.first());
        let object = |item: &&RawValue| {
            let json = item.get();
            Object::of_json(match &head {
                None => body.slice_ref(json.as_bytes()),
                Some(head) => [head.as_str(), &json[1..]].concat().into(),
            })
        };
        Ok(Self {
            items: items.iter().map(object).collect(),
            resource_version: list.metadata.resource_version.parse().unwrap_or_default(),
            next: list.metadata.r#continue,
            remaining: list.metadata.remaining_item_count.unwrap_or_default(),
        })
    }

    pub(super) fn into_items(self) -> Vec<Object> {
        self.items
    }

    /// As messages; the last page's last one tells about the list.
    pub(super) fn messages(self, is_last: bool) -> Vec<ListPage> {
        let mut messages = Vec::new();
        let (mut message, mut size) = (ListPage::default(), 0);
        for item in self.items {
            if size >= MESSAGE {
                messages.push(std::mem::take(&mut message));
                size = 0;
            }
            size += item.json.len();
            message.items.push(item);
        }
        if is_last {
            message.resource_version = self.resource_version;
            message.r#continue = self.next;
            message.remaining_item_count = self.remaining;
        }
        messages.push(message);
        messages
    }
}

/// What items begin with, if the list's kind is said for all of them: Kubernetes
/// leaves it out in lists of what it has types for.
fn head(kind: &str, api_version: &str, first: Option<&&RawValue>) -> Option<String> {
    let kind = kind.strip_suffix("List")?;
    let typed: Typed = serde_json::from_str(first?.get()).ok()?;
    let text = |text: &str| serde_json::Value::from(text).to_string();
    typed.kind.is_empty().then(|| {
        let (version, kind) = (text(api_version), text(kind));
        format!("{{\"apiVersion\":{version},\"kind\":{kind},")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_their_kind_as_when_they_are_read_alone() {
        let body = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":"abc","remainingItemCount":3},"items":[{"metadata":{"name":"a","namespace":"b","resourceVersion":"5"},"spec":{}}]}"#;
        let page = Page::read(&Bytes::from(body)).unwrap();
        assert_eq!((page.resource_version, page.next.as_str()), (9, "abc"));
        let item = &page.items[0];
        assert_eq!(
            item.json,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"b","resourceVersion":"5"},"spec":{}}"#
        );
        assert_eq!((item.name.as_str(), item.resource_version), ("a", 5));
        let messages = page.messages(true);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].remaining_item_count, 3);
    }

    #[test]
    fn items_that_say_their_kind_stay_as_they_are() {
        let body = r#"{"kind":"CronTabList","apiVersion":"a.b/v1","metadata":{"resourceVersion":"9"},"items":[{"kind":"CronTab","apiVersion":"a.b/v1","metadata":{"name":"a"}}]}"#;
        let page = Page::read(&Bytes::from(body)).unwrap();
        let json = &page.items[0].json;
        assert!(json.starts_with(br#"{"kind":"CronTab""#), "{json:?}");
    }

    #[test]
    fn a_list_without_items_is_empty() {
        let body = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":null}"#;
        let page = Page::read(&Bytes::from(body)).unwrap();
        let messages = page.messages(true);
        assert_eq!(
            (messages[0].items.len(), messages[0].resource_version),
            (0, 9)
        );
    }

    #[test]
    fn large_pages_come_in_several_messages() {
        let object = |size| Object {
            json: vec![b' '; size].into(),
            ..Object::default()
        };
        let page = Page {
            items: vec![object(MESSAGE), object(1), object(1)],
            resource_version: 9,
            next: "more".into(),
            remaining: 0,
        };
        let messages = page.messages(false);
        let counts: Vec<_> = messages.iter().map(|m| m.items.len()).collect();
        assert_eq!(counts, [1, 2]);
        assert!(messages.iter().all(|m| m.resource_version == 0));
    }
}
