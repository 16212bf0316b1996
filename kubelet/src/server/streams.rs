//! `/exec`, `/attach`, `/portForward` and `/run`. The runtime serves these
//! streams itself, on this host; we ask it where, and join the client's
//! connection with it byte by byte.

use super::query::Query;
use super::{Body, Refusal, text};
use crate::context::Context;
use crate::cri::{self, Streams};
use crate::pod;
use crate::worker::observed::{State, observe};
use bytes::Bytes;
use hardway_proto::Kind;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

fn runtime_error(error: cri::Error) -> Refusal {
    Refusal::internal(error)
}

/// The running container of a pod.
async fn running(context: &Context, pod: &Pod, name: &str) -> Result<String, Refusal> {
    let observed = observe(context.runtime.as_ref(), pod.uid())
        .await
        .map_err(runtime_error)?;
    match observed.latest(name) {
        Some(instance) if instance.state == State::Running => Ok(instance.id.clone()),
        Some(_) => Err(Refusal::internal(format!(
            "container {name:?} in pod {:?} is not running",
            pod.name()
        ))),
        None => Err(Refusal::not_found(format!(
            "container not found ({name:?})"
        ))),
    }
}

/// Runs a command with its streams connected to the client.
pub async fn exec(
    context: &Context,
    pod: &Pod,
    container: &str,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let id = running(context, pod, container).await?;
    let tty = query.is_on("tty");
    let streams = Streams {
        stdin: query.is_on("input"),
        stdout: query.is_on("output"),
        // A terminal has one output.
        stderr: query.is_on("error") && !tty,
        tty,
    };
    if !(streams.stdin || streams.stdout || streams.stderr) {
        return Err(Refusal::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr",
        ));
    }
    let command = query.all("command");
    let url = context.runtime.exec(&id, command, streams).await;
    join(request, &url.map_err(runtime_error)?).await
}

/// Connects the client to the streams of a container's main process.
pub async fn attach(
    context: &Context,
    pod: &Pod,
    container: &str,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let id = running(context, pod, container).await?;
    // Whether there is a terminal was settled when the container was made.
    let tty = pod::container(pod, container).and_then(|c| c.tty) == Some(true);
    let streams = Streams {
        stdin: query.is_on("input"),
        stdout: query.is_on("output"),
        stderr: query.is_on("error") && !tty,
        tty,
    };
    let url = context.runtime.attach(&id, streams).await;
    join(request, &url.map_err(runtime_error)?).await
}

/// Connects the client to ports of the pod.
pub async fn port_forward(
    context: &Context,
    pod: &Pod,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let observed = observe(context.runtime.as_ref(), pod.uid())
        .await
        .map_err(runtime_error)?;
    let sandbox = observed.ready_sandbox().ok_or_else(|| {
        Refusal::not_found(format!("pod {:?} has no running sandbox", pod.name()))
    })?;
    let named = query.all("port");
    let ports = named.iter().flat_map(|p| {
        let numbers = p.split(',').map(|n| n.parse().ok());
        numbers.flatten().collect::<Vec<i32>>()
    });
    let url = context
        .runtime
        .port_forward(&sandbox.id, ports.collect())
        .await;
    join(request, &url.map_err(runtime_error)?).await
}

/// Runs a command and answers with what it printed.
pub async fn run(
    context: &Context,
    pod: &Pod,
    container: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let id = running(context, pod, container).await?;
    let command = query.get("cmd").unwrap_or_default();
    let words = command.split_whitespace().map(str::to_owned).collect();
    let answer = context
        .runtime
        .exec_sync(&id, words, Duration::ZERO)
        .await
        .map_err(runtime_error)?;
    let mut output = answer.stdout;
    output.extend(answer.stderr);
    Ok(text(StatusCode::OK, "text/plain; charset=utf-8", output))
}

fn bad_gateway(url: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal(
        StatusCode::BAD_GATEWAY,
        format!("cannot reach the runtime's stream server at {url}: {error}"),
    )
}

/// Passes the client's upgrade on to the runtime's URL; when that switches
/// protocols so do we, and bytes go both ways.
async fn join(mut request: Request<Incoming>, url: &str) -> Result<Response<Body>, Refusal> {
    let uri: Uri = url.parse().map_err(|e| bad_gateway(url, e))?;
    let authority = uri.authority().ok_or_else(|| bad_gateway(url, "no host"))?;
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let tcp = TcpStream::connect(address)
        .await
        .map_err(|e| bad_gateway(url, e))?;
    // Keystrokes shouldn't wait to be bundled.
    let _ = tcp.set_nodelay(true);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp))
        .await
        .map_err(|e| bad_gateway(url, e))?;
    tokio::spawn(connection.with_upgrades());
    let mut onward = Request::new(Empty::<Bytes>::new());
    *onward.method_mut() = request.method().clone();
    *onward.headers_mut() = request.headers().clone();
    let host = http::HeaderValue::from_str(authority.as_str());
    onward
        .headers_mut()
        .insert(header::HOST, host.map_err(|e| bad_gateway(url, e))?);
    onward.headers_mut().remove(header::CONTENT_LENGTH);
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    *onward.uri_mut() = path.parse().map_err(|e| bad_gateway(url, e))?;
    let mut response = sender
        .send_request(onward)
        .await
        .map_err(|e| bad_gateway(url, e))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response.map(|body| body.map_err(io::Error::other).boxed_unsync()));
    }
    let server = hyper::upgrade::on(&mut response);
    let client = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let joined = async {
            let (client, server) = tokio::try_join!(client, server).map_err(io::Error::other)?;
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "stream ended");
        }
    });
    let empty = Empty::new().map_err(|never| match never {});
    Ok(response.map(|_| empty.boxed_unsync()))
}
