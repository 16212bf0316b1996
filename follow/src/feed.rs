//! The steps of all processes, as the apiservers serve them: each has its own, and those of the
//! components that are connected to it.

use crate::cluster::Cluster;
use crate::line::Line;
use crate::merge::Merge;
use futures_util::future::join_all;
use futures_util::io::AsyncBufReadExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::Request;
use kube::Client;
use std::time::Duration;

/// Lines as they come.
pub type Lines<'a> = BoxStream<'a, Result<Line, String>>;

/// How long one of several apiservers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there are no steps.
#[derive(Debug)]
pub enum Missing {
    /// The apiserver isn't hardway's.
    Foreign,
    /// Not for who asks.
    Forbidden,
    /// It doesn't answer as it should.
    Broken(kube::Error),
}

impl Missing {
    /// In words.
    fn why(&self) -> String {
        match self {
            Self::Foreign => "it tells no steps".to_owned(),
            Self::Forbidden => "not for who asks".to_owned(),
            Self::Broken(error) => error.to_string(),
        }
    }
}

/// What is read.
pub struct Feed {
    /// The lines of all apiservers.
    pub lines: Lines<'static>,
    /// What is not read, in words.
    pub notes: Vec<String>,
}

const PATH: &str = "/debug/hardway/steps?watch=true";

/// Begins to read them, of all apiservers that the cluster names as its own.
///
/// # Errors
/// If there are none for who asks.
pub async fn steps(cluster: &Cluster) -> Result<Feed, Missing> {
    let all = cluster.apiservers().await;
    if all.len() < 2 {
        let lines = open(cluster.client()).await?;
        let notes = Vec::new();
        return Ok(Feed { lines, notes });
    }
    let opened = all.into_iter().map(|(address, client)| async move {
        let late = format!("no answer within {} s", PATIENCE.as_secs());
        let lines = match client {
            Ok(client) => match tokio::time::timeout(PATIENCE, open(&client)).await {
                Ok(lines) => lines.map_err(|missing| missing.why()),
                Err(_) => Err(late),
            },
            Err(error) => Err(error.to_string()),
        };
        (address, lines)
    });
    let (mut feeds, mut notes) = (Vec::new(), Vec::new());
    for (address, lines) in join_all(opened).await {
        match lines {
            Ok(lines) => feeds.push((address, lines)),
            Err(why) => notes.push(format!(
                "the apiserver at {address} can't be asked ({why}): what components do that are connected to it is missing"
            )),
        }
    }
    // From here perhaps none is reached but the one that the kubeconfig names, by another way.
    let lines = match feeds.is_empty() {
        true => open(cluster.client()).await?,
        false => merged(feeds),
    };
    Ok(Feed { lines, notes })
}

async fn open(client: &Client) -> Result<Lines<'static>, Missing> {
    let request = Request::get(PATH).body(Vec::new());
    let request = request.map_err(|error| Missing::Broken(kube::Error::HttpError(error)))?;
    let body = client
        .request_stream(request)
        .await
        .map_err(|error| match error {
            // Kubernetes' own answers 404 with the paths that there are, which is no Status.
            kube::Error::Api(status) if matches!(status.code, 0 | 404) => Missing::Foreign,
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => Missing::Forbidden,
            error => Missing::Broken(error),
        })?;
    let lines = body.lines().map(|line| {
        let line = line.map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}"))
    });
    Ok(lines.boxed())
}

/// The lines of several apiservers as one stream.
fn merged(feeds: Vec<(String, Lines<'static>)>) -> Lines<'static> {
    let mut merge = Merge::of(feeds.iter().map(|(address, _)| address.clone()).collect());
    let feeds = feeds.into_iter().enumerate().map(|(at, (_, lines))| {
        let end = stream::once(async move { (at, None) });
        lines.map(move |line| (at, Some(line))).chain(end).boxed()
    });
    let all = stream::select_all(feeds);
    all.flat_map(move |(at, line)| stream::iter(merge.take(at, line)))
        .boxed()
}
