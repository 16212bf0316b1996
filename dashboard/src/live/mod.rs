//! Changes pushed to pages as they happen.
//!
//! A page has one WebSocket ([`page`]) and subscribes to selections of objects over it
//! ([`message`]). Each selection of a viewer is watched once ([`watch`]), however many pages look
//! at it, and kept as a [`collection`]: the last state of each object, and the order in which they
//! changed. A page remembers how far in that order it has got; so nothing is queued for a slow
//! page, and what changed twice meanwhile is sent once.

pub mod collection;
mod fields;
mod lookers;
pub mod message;
pub mod object;
mod page;
pub mod pause;
mod room;
pub mod watch;
mod watches;

pub use lookers::Lookers;
pub use watches::{Watch, Watches};

use crate::dashboard::Asking;
use crate::failure::Failure;
use crate::websocket;
use axum::extract::Request;
use axum::response::Response;

/// `GET /live`.
///
/// # Errors
/// If it is no WebSocket, or too many are open.
pub async fn connect(Asking(viewer): Asking, mut request: Request) -> Result<Response, Failure> {
    let connection = viewer.connect()?;
    let (answer, upgrade) = websocket::accept(&mut request)?;
    tokio::spawn(async move {
        match websocket::socket(upgrade).await {
            Ok(socket) => page::serve(socket, &viewer).await,
            Err(error) => tracing::debug!(%error, "a page was gone before it was live"),
        }
        drop(connection);
    });
    Ok(answer)
}
