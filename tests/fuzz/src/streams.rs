//! Frames of SPDY.

use bytes::{Bytes, BytesMut};
use hardway_streams::spdy::{Codec, Frame, Headers};
use tokio_util::codec::{Decoder, Encoder};

/// What is decoded doesn't depend on the pieces it comes in, and survives another
/// trip over the wire.
pub fn spdy(data: &[u8]) {
    let Some((&piece, wire)) = data.split_first() else {
        return;
    };
    let (frames, failed) = decoded(wire, wire.len().max(1));
    let (in_pieces, failed_in_pieces) = decoded(wire, usize::from(piece).max(1));
    assert_eq!(failed, failed_in_pieces);
    let frames = joined(frames);
    assert_eq!(frames, joined(in_pieces));

    let mut again = BytesMut::new();
    let mut sender = Codec::default();
    for frame in &frames {
        sender
            .encode(frame.clone(), &mut again)
            .expect("what came in can go out");
    }
    let (back, failed) = decoded(&again, again.len().max(1));
    assert!(!failed);
    let frames: Vec<Frame> = frames.into_iter().map(with_lower_case_names).collect();
    assert_eq!(joined(back), frames);
}

fn decoded(wire: &[u8], piece: usize) -> (Vec<Frame>, bool) {
    let mut codec = Codec::default();
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for piece in wire.chunks(piece) {
        input.extend_from_slice(piece);
        loop {
            match codec.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

/// Data of one stream that came one after the other, as one frame.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    for frame in frames {
        if let Frame::Data { stream, data, fin } = &frame
            && let Some(Frame::Data {
                stream: before,
                data: first,
                fin: last @ false,
            }) = out.last_mut()
            && before == stream
        {
            *first = Bytes::from([&first[..], &data[..]].concat());
            *last = *fin;
            continue;
        }
        out.push(frame);
    }
    out
}

fn with_lower_case_names(mut frame: Frame) -> Frame {
    let lower = |headers: &mut Headers| {
        for (name, _) in headers {
            name.make_ascii_lowercase();
        }
    };
    match &mut frame {
        Frame::SynStream { headers, .. }
        | Frame::SynReply { headers, .. }
        | Frame::Headers { headers, .. } => lower(headers),
        _ => {}
    }
    frame
}
