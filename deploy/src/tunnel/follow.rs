//! Hears of every change of what the tunnel depends on.

use std::ops::ControlFlow;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::state::Kind;
use crate::api::Api;
use crate::failure::Result;
use crate::watch::{self, Event};

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
    watch::watch(api, kind.path(), None, |event| {
        let over = matches!(event, Event::Listed(_)) && std::mem::take(troubled);
        let event = match event {
            Event::Listed(objects) => News::Listed(kind, objects),
            Event::Changed(object) => News::Changed(kind, object),
            Event::Gone(object) => News::Gone(kind, object),
        };
        let all = std::iter::once(event).chain(over.then_some(News::Over));
        let sent: std::result::Result<Vec<()>, _> = all.map(|event| news.send(event)).collect();
        match sent {
            Ok(_) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
    .map(|_| ())
}
