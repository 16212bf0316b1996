//! How the engine's reader asks the cluster, as a viewer.

use crate::api;
use crate::failure::Failure;
use hardway_why::reading::{Api, Refusal};
use hardway_why::{DnsOutcome, DnsRequest, Listing};
use http::StatusCode;
use kube::Client;

/// Asks as whoever the client's credentials belong to.
pub struct AsViewer<'a>(pub &'a Client);

impl Api for AsViewer<'_> {
    async fn get(&self, path: &str, accept: &'static str) -> Result<Vec<u8>, Refusal> {
        let read = api::get(self.0, path, accept).await;
        Ok(read.map_err(|failure| refusal(&failure))?.to_vec())
    }

    /// Nobody who only looks at a page has connections opened to pods.
    async fn ask_dns(&self, _: &DnsRequest) -> Option<DnsOutcome> {
        None
    }
}

fn refusal(failure: &Failure) -> Refusal {
    Refusal {
        code: Some(failure.code().as_u16()),
        why: failure.message().to_owned(),
    }
}

/// What the page is told where nothing could be read.
pub fn failure(refusal: &Refusal) -> Failure {
    let code = refusal
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    Failure::new(code.unwrap_or(StatusCode::BAD_GATEWAY), refusal.why.clone())
}

/// What the engine is told of a list that could not be read.
pub fn unread(failure: &Failure) -> Listing {
    refusal(failure).listing()
}
