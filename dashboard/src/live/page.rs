//! One page's live connection.

use super::Watch;
use super::collection::Cursor;
use super::message::{self, Batch, Said, What};
use crate::failure::Failure;
use crate::metrics;
use crate::problems::Findings;
use crate::viewer::Viewer;
use crate::websocket::Socket;
use futures_util::SinkExt;
use futures_util::stream::{SplitSink, StreamExt};
use http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long news are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(50);
/// About how long one batch is: small enough that a page draws while the next one comes.
const BATCH: usize = 256 << 10;
/// How many subscriptions a page may have.
const SUBSCRIPTIONS: usize = 64;
/// How often a page is asked for a sign of life.
const PING: Duration = Duration::from_secs(30);
/// How long it may give none, or not take what it is sent.
const SILENCE: Duration = Duration::from_secs(75);

/// What a page looks at.
enum Subscription {
    Objects {
        watch: Arc<Watch>,
        cursor: Cursor,
    },
    Problems {
        findings: Arc<Findings>,
        seen: u64,
    },
    /// It can't be had.
    Refused(Option<Failure>),
}

impl Subscription {
    fn news(&mut self) -> Option<Batch> {
        match self {
            Self::Objects { watch, cursor } => watch.collection().batch(cursor, BATCH),
            Self::Problems { findings, seen } => findings.news(seen),
            Self::Refused(failure) => failure.take().map(|failure| Batch {
                reset: true,
                error: Some(failure),
                ..Batch::default()
            }),
        }
    }
}

/// Serves a page until it or its viewer leaves.
pub async fn serve(socket: Socket, viewer: &Arc<Viewer>) {
    metrics::PAGES.inc();
    let (sink, mut stream) = socket.split();
    let mut page = Page {
        sink,
        viewer: viewer.clone(),
        subscriptions: BTreeMap::new(),
        news: Arc::default(),
    };
    let mut due: Option<Instant> = None;
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval(PING);
    let ended = loop {
        let send_at = due.unwrap_or_else(|| Instant::now() + PING);
        tokio::select! {
            () = page.news.notified(), if due.is_none() => due = Some(Instant::now() + GATHER),
            () = tokio::time::sleep_until(send_at), if due.is_some() => {
                match page.send_news().await {
                    // More is waiting: after a look at what the page says.
                    Ok(true) => due = Some(Instant::now()),
                    Ok(false) => due = None,
                    Err(error) => break Err(error),
                }
            }
            message = stream.next() => {
                heard = Instant::now();
                match message {
                    Some(Ok(message)) => if let Err(failure) = page.take(message) {
                        break page.close(CloseCode::Policy, failure.message()).await;
                    },
                    Some(Err(error)) => break Err(error),
                    None => break Ok(()),
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE {
                    break Ok(());
                }
                if let Err(error) = page.send(Message::Ping(bytes::Bytes::new())).await {
                    break Err(error);
                }
            }
            () = viewer.leaving() => break page.close(CloseCode::Normal, "logged out").await,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a page's connection ended");
    }
    metrics::PAGES.dec();
}

struct Page {
    sink: SplitSink<Socket, Message>,
    viewer: Arc<Viewer>,
    subscriptions: BTreeMap<String, Subscription>,
    news: Arc<Notify>,
}

impl Page {
    /// Takes what the page says.
    fn take(&mut self, message: Message) -> Result<(), Failure> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                return Err(Failure::new(StatusCode::BAD_REQUEST, "messages are text"));
            }
            // Answered, or meant for, the protocol.
            _ => return Ok(()),
        };
        match message::read(&text)? {
            Said::Unsubscribe(id) => {
                self.subscriptions.remove(&id);
            }
            Said::Subscribe(subscribe) => {
                self.subscriptions.remove(&subscribe.id);
                if self.subscriptions.len() >= SUBSCRIPTIONS {
                    let message = format!("a page has at most {SUBSCRIPTIONS} subscriptions");
                    return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, message));
                }
                let subscription = self.look(&subscribe.what);
                let subscription =
                    subscription.unwrap_or_else(|it| Subscription::Refused(Some(it)));
                self.subscriptions.insert(subscribe.id, subscription);
                self.news.notify_one();
            }
        }
        Ok(())
    }

    fn look(&self, what: &What) -> Result<Subscription, Failure> {
        Ok(match what {
            What::Objects(selection) => Subscription::Objects {
                watch: self.viewer.watches.look(selection, &self.news)?,
                cursor: Cursor::default(),
            },
            What::Problems { problems } => Subscription::Problems {
                findings: Findings::look(&self.viewer, problems, &self.news)?,
                seen: 0,
            },
        })
    }

    /// Sends a batch of each subscription that has news; says whether there is more.
    async fn send_news(&mut self) -> Result<bool, Error> {
        let mut more = false;
        let ids: Vec<String> = self.subscriptions.keys().cloned().collect();
        for id in ids {
            let news = self.subscriptions.get_mut(&id).and_then(Subscription::news);
            if let Some(batch) = news {
                more = true;
                metrics::BATCHES.inc();
                self.send(Message::text(batch.text(&id))).await?;
            }
        }
        Ok(more)
    }

    /// Sends a message; who does not take it is given up.
    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let sent = tokio::time::timeout(SILENCE, self.sink.send(message)).await;
        sent.unwrap_or(Err(Error::ConnectionClosed))
    }

    async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        // A reason has at most 123 bytes.
        let reason: String = reason.chars().filter(char::is_ascii).take(120).collect();
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        self.send(Message::Close(Some(frame))).await
    }
}
