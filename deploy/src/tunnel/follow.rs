//! Hears of every change of what the tunnel depends on.

use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::state::Kind;
use crate::api::{Api, text};
use crate::failure::Result;

/// The apiserver has something to say at least every minute, if only that there is nothing new.
const SILENCE: Duration = Duration::from_secs(150);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What is heard.
#[derive(Debug)]
pub enum News {
    /// All there is.
    Listed(Kind, Vec<Value>),
    /// An object is new or has changed.
    Changed(Kind, Value),
    /// An object is gone; what it was last.
    Gone(Kind, Value),
    /// The apiserver doesn't answer; told once.
    Trouble(String),
    /// The apiserver answers again.
    Over,
    /// The tunnel is to be closed.
    Close,
}

/// Follows a kind on a thread of its own, until nobody listens.
pub fn follow(api: Api, kind: Kind, news: Sender<News>) {
    thread::spawn(move || {
        let mut troubled = false;
        loop {
            let Err(failure) = listen(&api, kind, &news, &mut troubled) else {
                return;
            };
            if !std::mem::replace(&mut troubled, true)
                && news.send(News::Trouble(failure.to_string())).is_err()
            {
                return;
            }
            thread::sleep(PAUSE);
        }
    });
}

/// Lists and watches; ends well when nobody listens any more.
fn listen(api: &Api, kind: Kind, news: &Sender<News>, troubled: &mut bool) -> Result<()> {
    loop {
        let mut list = api.get(kind.path())?.unwrap_or_default();
        let mut version = text(&list["metadata"]["resourceVersion"]).to_owned();
        let objects = list["items"].take();
        let objects = objects.as_array().cloned().unwrap_or_default();
        if news.send(News::Listed(kind, objects)).is_err() {
            return Ok(());
        }
        if std::mem::take(troubled) && news.send(News::Over).is_err() {
            return Ok(());
        }
        // A watch ends by itself now and then, and goes on where it was.
        while !version.is_empty() {
            let path = format!(
                "{}?watch=1&allowWatchBookmarks=true&resourceVersion={version}",
                kind.path()
            );
            for line in api.lines(&path, SILENCE)? {
                let Ok(mut event) = serde_json::from_str::<Value>(&line?) else {
                    // It broke off in the middle of a line.
                    break;
                };
                let object = event["object"].take();
                let news = match text(&event["type"]) {
                    "ADDED" | "MODIFIED" => Some(News::Changed(kind, object.clone())),
                    "DELETED" => Some(News::Gone(kind, object.clone())),
                    "BOOKMARK" => None,
                    // Too old, most likely: from the start.
                    _ => {
                        version.clear();
                        break;
                    }
                }
                .map_or(Ok(()), |change| news.send(change));
                if news.is_err() {
                    return Ok(());
                }
                version = text(&object["metadata"]["resourceVersion"]).to_owned();
            }
        }
    }
}
