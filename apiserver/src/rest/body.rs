//! Bodies: read with a limit, written as they are, in pieces or compressed.

use super::negotiate::{Form, Media};
use crate::background;
use crate::pipeline::{HeldBytes, present, yaml};
use crate::protobuf::{self, Encoded};
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt};
use hardway_proto::Status;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub use hardway_streams::{Body, BoxError};

/// The largest body taken.
pub const LIMIT: usize = 3 << 20;
/// Answers larger than this are compressed, if the client likes.
const COMPRESS_FROM: usize = 128 << 10;
/// Long answers are sent in pieces of about this size.
pub const PIECE: usize = 64 << 10;

/// Of a body that is too large, this much more is read and thrown away: a
/// client that sends before it reads would see its connection reset instead
/// of the answer.
const DISCARD: usize = 8 * LIMIT;
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// How long a client may take to send a body.
pub const READ_TIME: Duration = Duration::from_secs(60);

/// Reads a body that may be neither too large nor too slow; it is held.
pub async fn read<B>(body: B, held: &mut HeldBytes) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    read_within(READ_TIME, body, held).await
}

async fn read_within<B>(time: Duration, body: B, held: &mut HeldBytes) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let read = tokio::time::timeout(time, collect(body, held)).await;
    read.unwrap_or_else(|_| Err(too_slow(time)))
}

/// 504 for a body that didn't come in time: nothing was done.
pub fn too_slow(time: Duration) -> Status {
    Status::timeout(format!(
        "the body of the request did not come within {} s",
        time.as_secs()
    ))
}

/// Throws away a body that is of no use any more.
pub async fn skip<B>(body: B)
where
    B: http_body::Body<Data = Bytes>,
{
    let _ = tokio::time::timeout(DISCARD_TIME, discard(pin!(body))).await;
}

async fn collect<B>(body: B, held: &mut HeldBytes) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Status::bad_request(format!("reading the body: {}", error.into())))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > LIMIT {
            let _ = tokio::time::timeout(DISCARD_TIME, discard(body)).await;
            return Err(Status::too_large(format!(
                "Request entity too large: limit is {LIMIT}"
            )));
        }
        if let Err(status) = held.take(data.len()) {
            let _ = tokio::time::timeout(DISCARD_TIME, discard(body)).await;
            return Err(status);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

async fn discard<B>(mut body: std::pin::Pin<&mut B>)
where
    B: http_body::Body<Data = Bytes>,
{
    let mut left = DISCARD;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(size) else {
            return;
        };
        left = rest;
    }
}

/// A body of known length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Body::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

/// A body that comes in pieces.
pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    Body::new(StreamBody::new(
        pieces.map(|piece| Ok::<_, BoxError>(Frame::data(piece))),
    ))
}

/// A body with which something is kept until its end.
pub fn holding(body: Body, held: impl Send + 'static) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &held;
        frame
    }))
}

/// Plain text.
pub fn text(code: u16, text: impl Into<Bytes>) -> Response<Body> {
    respond(code, "text/plain; charset=utf-8", full(text))
}

/// A response of three parts.
pub fn respond(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// JSON in the form asked for. What has no message in protobuf stays JSON.
pub fn json(code: u16, json: Bytes, form: Form, gzip: bool) -> Response<Body> {
    let (bytes, content_type) = match form.media {
        Media::Yaml => (to_yaml(&json), "application/yaml"),
        Media::Json if form.pretty => (prettify(&json), "application/json"),
        Media::Json => (json, "application/json"),
        Media::Protobuf => match Encoded::from_json(&json) {
            Ok(encoded) => (encoded.bytes().clone(), protobuf::MEDIA_TYPE),
            Err(_) => (json, "application/json"),
        },
    };
    whole(code, bytes, content_type, gzip)
}

/// A value in the form asked for.
pub fn value(code: u16, value: &Value, form: Form, gzip: bool) -> Response<Body> {
    if form.media == Media::Protobuf
        && let Ok(encoded) = Encoded::new(value)
    {
        return whole(code, encoded.bytes().clone(), protobuf::MEDIA_TYPE, gzip);
    }
    json(code, present::to_bytes(value), form, gzip)
}

/// Bytes that are there at once.
pub fn whole(code: u16, bytes: Bytes, content_type: &'static str, gzip: bool) -> Response<Body> {
    if gzip && bytes.len() > COMPRESS_FROM {
        return compressed(respond(code, content_type, full(compress(&bytes))));
    }
    respond(code, content_type, full(bytes))
}

/// Many parts, written one after the other without being held at once.
pub fn parts(
    parts: impl Iterator<Item = Bytes> + Send + 'static,
    size: usize,
    content_type: &'static str,
    gzip: bool,
) -> Response<Body> {
    if size <= COMPRESS_FROM {
        let mut whole = BytesMut::with_capacity(size);
        parts.for_each(|part| whole.extend_from_slice(&part));
        return respond(200, content_type, full(whole.freeze()));
    }
    let pieces = Coalesced { parts };
    if !gzip {
        let body = stream(futures_util::stream::iter(pieces));
        return respond(200, content_type, body);
    }
    compressed(respond(200, content_type, stream(compressing(pieces))))
}

/// Parts that take work to be made, in a response that is compressed only if it is long. The
/// work is done in the background, and no further than some pieces ahead of the client.
pub async fn made(
    parts: impl Iterator<Item = Bytes> + Send + 'static,
    content_type: &'static str,
    gzip: bool,
) -> Response<Body> {
    let mut pieces = Coalesced { parts };
    let begin = move || {
        let mut beginning = BytesMut::new();
        while beginning.len() <= COMPRESS_FROM {
            match pieces.next() {
                Some(piece) => beginning.extend_from_slice(&piece),
                None => return (beginning.freeze(), None),
            }
        }
        (beginning.freeze(), Some(pieces))
    };
    let (beginning, rest) = background::compute(begin).await;
    let Some(rest) = rest else {
        return respond(200, content_type, full(beginning));
    };
    let pieces = Coalesced {
        parts: std::iter::once(beginning).chain(rest),
    };
    match gzip {
        true => compressed(respond(200, content_type, stream(compressing(pieces)))),
        false => respond(200, content_type, stream(ahead(pieces))),
    }
}

/// Pieces compressed in the background.
fn compressing<I>(pieces: Coalesced<I>) -> impl Stream<Item = Bytes>
where
    I: Iterator<Item = Bytes> + Send + 'static,
{
    ahead(Compressed {
        pieces,
        encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
    })
}

/// Pieces made in the background, a few ahead of the client that reads them; no more when
/// it has gone.
fn ahead(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> impl Stream<Item = Bytes> {
    let (sender, receiver) = mpsc::channel(2);
    background::spawn(async move {
        for piece in pieces {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}

fn compressed(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// Collects small parts into pieces worth sending.
struct Coalesced<I> {
    parts: I,
}

impl<I: Iterator<Item = Bytes>> Iterator for Coalesced<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let first = self.parts.next()?;
        if first.len() >= PIECE {
            return Some(first);
        }
        let mut piece = BytesMut::with_capacity(PIECE + PIECE / 4);
        piece.extend_from_slice(&first);
        while piece.len() < PIECE {
            match self.parts.next() {
                Some(part) => piece.extend_from_slice(&part),
                None => break,
            }
        }
        Some(piece.freeze())
    }
}

struct Compressed<I> {
    pieces: Coalesced<I>,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<I: Iterator<Item = Bytes>> Iterator for Compressed<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let encoder = self.encoder.as_mut()?;
        for piece in self.pieces.by_ref() {
            // Writing to a Vec can't fail.
            let _ = encoder.write_all(&piece);
            if encoder.get_ref().len() >= PIECE / 4 {
                return Some(std::mem::take(encoder.get_mut()).into());
            }
        }
        let rest = self.encoder.take()?.finish().unwrap_or_default();
        Some(rest.into())
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a Vec can't fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn to_yaml(json: &Bytes) -> Bytes {
    serde_json::from_slice::<Value>(json)
        .map_or_else(|_| json.clone(), |value| yaml::write(&value).into())
}

fn prettify(json: &Bytes) -> Bytes {
    let pretty = serde_json::from_slice::<Value>(json)
        .ok()
        .and_then(|value| serde_json::to_vec_pretty(&value).ok());
    match pretty {
        Some(mut pretty) => {
            pretty.push(b'\n');
            pretty.into()
        }
        None => json.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn long_answers_survive_compression() {
        let parts: Vec<Bytes> = (0..5_000).map(|i| format!("part {i}, ").into()).collect();
        let plain: Vec<u8> = parts.concat();
        let size = usize::MAX;
        let sent = super::parts(parts.clone().into_iter(), size, "text/plain", true);
        assert_eq!(sent.headers()[header::CONTENT_ENCODING], "gzip");
        let bytes = sent.into_body().collect().await.unwrap().to_bytes();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, plain);
        let sent = super::parts(parts.into_iter(), size, "text/plain", false);
        assert_eq!(sent.into_body().collect().await.unwrap().to_bytes(), plain);
    }

    #[tokio::test]
    async fn what_takes_work_is_made_no_further_than_it_is_read() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let parts = (0..1_000).map(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Bytes::from(vec![b'x'; PIECE])
        });
        let sent = super::made(parts, "text/plain", false).await;
        let mut body = sent.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.len() > COMPRESS_FROM);
        // What is ready, what waits to be, and what the channel holds.
        assert!(made.load(Ordering::Relaxed) <= 8);
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(first.len() + rest.len(), 1_000 * PIECE);

        let few = || ["a", "b"].into_iter().map(Bytes::from);
        let short = super::made(few(), "text/plain", true).await;
        assert!(!short.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(short.into_body().collect().await.unwrap().to_bytes(), "ab");
        let long = std::iter::repeat_n(Bytes::from(vec![b'x'; PIECE]), 4);
        let long = super::made(long, "text/plain", true).await;
        assert_eq!(long.headers()[header::CONTENT_ENCODING], "gzip");
    }

    #[tokio::test]
    async fn slow_bodies_are_refused() {
        let silence = futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>();
        let time = Duration::from_millis(10);
        let status = read_within(time, StreamBody::new(silence), &mut held(LIMIT)).await;
        assert_eq!(status.unwrap_err().code, 504);
    }

    #[tokio::test]
    async fn large_bodies_are_refused() {
        let body = || Full::new(Bytes::from(vec![0; LIMIT + 1]));
        let status = read(body(), &mut held(2 * LIMIT)).await;
        assert_eq!(status.unwrap_err().code, 413);
        let body = Full::new(Bytes::from(vec![0; LIMIT]));
        let status = read(body, &mut held(LIMIT - 1)).await;
        assert_eq!(status.unwrap_err().code, 429);
    }

    fn held(total: usize) -> HeldBytes {
        let bodies = Arc::new(crate::pipeline::Bodies::new(total, total));
        bodies.of(&hardway_access::User::new("jane", ["dev"]))
    }
}
