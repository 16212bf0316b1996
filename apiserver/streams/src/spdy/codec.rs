//! Frames to bytes and back.

use super::Frame;
use super::headers::{Packer, Unpacker};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;
use tokio_util::codec::{Decoder, Encoder};

const VERSION: u16 = 3;
const FIN: u8 = 1;
const CONTROL: u16 = 0x8000;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// Control frames may not be longer than this.
const MAX_CONTROL: usize = 1 << 20;

/// Frames of one connection: the compression of headers has a state for each
/// direction.
pub struct Codec {
    packer: Packer,
    unpacker: Unpacker,
    /// Of a data frame, what is still to come. It is passed on as it comes, in
    /// frames of its own: a peer may announce more than anybody wants to keep.
    rest: Option<Rest>,
}

struct Rest {
    stream: u32,
    length: usize,
    fin: bool,
}

impl Default for Codec {
    fn default() -> Self {
        Self {
            packer: Packer::new(),
            unpacker: Unpacker::new(),
            rest: None,
        }
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY frame: {what}"))
}

impl Encoder<Frame> for Codec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, out: &mut BytesMut) -> io::Result<()> {
        let fin_flag = |fin: bool| if fin { FIN } else { 0 };
        match frame {
            Frame::Data { stream, data, fin } => {
                if data.len() >= 1 << 24 {
                    return Err(corrupt("more data than fits into one"));
                }
                out.reserve(8 + data.len());
                out.put_u32(stream);
                out.put_u32(u32::from(fin_flag(fin)) << 24 | data.len() as u32);
                out.put(data);
            }
            Frame::SynStream {
                stream,
                headers,
                fin,
            } => {
                let mut body = BytesMut::new();
                body.put_u32(stream);
                body.put_u32(0); // associated with no other stream
                body.put_u16(0); // highest priority, no slot
                body.put_slice(&self.packer.pack(&headers)?);
                control(out, SYN_STREAM, fin_flag(fin), &body);
            }
            Frame::SynReply {
                stream,
                headers,
                fin,
            } => {
                let mut body = BytesMut::new();
                body.put_u32(stream);
                body.put_slice(&self.packer.pack(&headers)?);
                control(out, SYN_REPLY, fin_flag(fin), &body);
            }
            Frame::Headers {
                stream,
                headers,
                fin,
            } => {
                let mut body = BytesMut::new();
                body.put_u32(stream);
                body.put_slice(&self.packer.pack(&headers)?);
                control(out, HEADERS, fin_flag(fin), &body);
            }
            Frame::RstStream { stream, status } => pair(out, RST_STREAM, stream, status),
            Frame::GoAway { last, status } => pair(out, GOAWAY, last, status),
            Frame::WindowUpdate { stream, delta } => pair(out, WINDOW_UPDATE, stream, delta),
            Frame::Ping(id) => control(out, PING, 0, &id.to_be_bytes()),
            Frame::Settings(raw) => control(out, SETTINGS, 0, &raw),
        }
        Ok(())
    }
}

fn control(out: &mut BytesMut, kind: u16, flags: u8, body: &[u8]) {
    out.reserve(8 + body.len());
    out.put_u16(CONTROL | VERSION);
    out.put_u16(kind);
    out.put_u32(u32::from(flags) << 24 | body.len() as u32);
    out.put_slice(body);
}

fn pair(out: &mut BytesMut, kind: u16, a: u32, b: u32) {
    let mut body = [0; 8];
    body[..4].copy_from_slice(&a.to_be_bytes());
    body[4..].copy_from_slice(&b.to_be_bytes());
    control(out, kind, 0, &body);
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Frame>> {
        loop {
            if let Some(rest) = self.rest.take() {
                return Ok(self.data(rest, input));
            }
            let Some(head) = input.first_chunk::<8>() else {
                return Ok(None);
            };
            let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let flags = head[4];
            let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
            let is_control = first >> 31 == 1;
            if is_control && length > MAX_CONTROL {
                return Err(corrupt("too long"));
            }
            let fin = flags & FIN != 0;
            if !is_control {
                input.advance(8);
                let rest = Rest {
                    stream: first,
                    length,
                    fin,
                };
                if length > 0 {
                    self.rest = Some(rest);
                    continue;
                }
                return Ok(self.data(rest, input));
            }
            if input.len() < 8 + length {
                input.reserve(8 + length - input.len());
                return Ok(None);
            }
            input.advance(8);
            let body = input.split_to(length).freeze();
            let version = (first >> 16) as u16 & !CONTROL;
            if version != VERSION {
                return Err(corrupt(&format!("version {version}, this side speaks 3")));
            }
            if let Some(frame) = self.control_frame(first as u16, fin, body)? {
                return Ok(Some(frame));
            }
            // Of a kind nobody knows: to be ignored.
        }
    }
}

impl Codec {
    /// What has come of a data frame.
    fn data(&mut self, mut rest: Rest, input: &mut BytesMut) -> Option<Frame> {
        if rest.length > 0 && input.is_empty() {
            self.rest = Some(rest);
            return None;
        }
        let data = input.split_to(rest.length.min(input.len())).freeze();
        rest.length -= data.len();
        let (stream, fin) = (rest.stream, rest.fin && rest.length == 0);
        if rest.length > 0 {
            self.rest = Some(rest);
        }
        Some(Frame::Data { stream, data, fin })
    }

    fn control_frame(
        &mut self,
        kind: u16,
        fin: bool,
        mut body: Bytes,
    ) -> io::Result<Option<Frame>> {
        let number = |body: &mut Bytes| body.try_get_u32().map_err(|_| corrupt("cut off"));
        let id = |body: &mut Bytes| number(body).map(|n| n & 0x7fff_ffff);
        Ok(Some(match kind {
            SYN_STREAM => {
                let stream = id(&mut body)?;
                id(&mut body)?;
                body.try_get_u16().map_err(|_| corrupt("cut off"))?;
                let headers = self.unpacker.unpack(&body)?;
                Frame::SynStream {
                    stream,
                    headers,
                    fin,
                }
            }
            SYN_REPLY => Frame::SynReply {
                stream: id(&mut body)?,
                headers: self.unpacker.unpack(&body)?,
                fin,
            },
            HEADERS => Frame::Headers {
                stream: id(&mut body)?,
                headers: self.unpacker.unpack(&body)?,
                fin,
            },
            RST_STREAM => Frame::RstStream {
                stream: id(&mut body)?,
                status: number(&mut body)?,
            },
            GOAWAY => Frame::GoAway {
                last: id(&mut body)?,
                status: number(&mut body)?,
            },
            WINDOW_UPDATE => Frame::WindowUpdate {
                stream: id(&mut body)?,
                delta: id(&mut body)?,
            },
            PING => Frame::Ping(number(&mut body)?),
            SETTINGS => Frame::Settings(body),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(frame: Frame) -> Vec<u8> {
        let mut out = BytesMut::new();
        Codec::default().encode(frame, &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn frames_have_the_bytes_of_the_draft() {
        let data = Frame::Data {
            stream: 3,
            data: Bytes::from_static(b"hi"),
            fin: true,
        };
        assert_eq!(bytes_of(data), [0, 0, 0, 3, 1, 0, 0, 2, b'h', b'i']);
        assert_eq!(
            bytes_of(Frame::Ping(1)),
            [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]
        );
        assert_eq!(
            bytes_of(Frame::RstStream {
                stream: 5,
                status: 5
            }),
            [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 5]
        );
        assert_eq!(
            bytes_of(Frame::GoAway { last: 7, status: 0 }),
            [0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 0]
        );
        assert_eq!(
            bytes_of(Frame::WindowUpdate {
                stream: 1,
                delta: 256
            }),
            [0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 1, 0]
        );
        let syn = bytes_of(Frame::SynStream {
            stream: 1,
            headers: vec![("streamType".into(), "error".into())],
            fin: false,
        });
        assert_eq!(syn[..5], [0x80, 3, 0, 1, 0]);
        assert_eq!(syn[8..18], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(syn[18..24], [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn frames_survive_byte_by_byte() {
        let headers = vec![("streamtype".to_owned(), "stdin".to_owned())];
        let frames = vec![
            Frame::SynStream {
                stream: 1,
                headers: headers.clone(),
                fin: false,
            },
            Frame::SynReply {
                stream: 1,
                headers: vec![],
                fin: false,
            },
            Frame::Headers {
                stream: 1,
                headers,
                fin: true,
            },
            Frame::Data {
                stream: 1,
                data: Bytes::from_static(b"x"),
                fin: false,
            },
            Frame::Data {
                stream: 1,
                data: Bytes::new(),
                fin: true,
            },
            Frame::Settings(Bytes::from_static(&[0, 0, 0, 0])),
            Frame::Ping(9),
            Frame::RstStream {
                stream: 1,
                status: 5,
            },
            Frame::GoAway { last: 1, status: 0 },
            Frame::WindowUpdate {
                stream: 1,
                delta: 1,
            },
        ];
        let (mut sender, mut receiver) = (Codec::default(), Codec::default());
        let mut wire = BytesMut::new();
        for frame in &frames {
            sender.encode(frame.clone(), &mut wire).unwrap();
        }
        let (mut input, mut seen) = (BytesMut::new(), Vec::new());
        for byte in wire {
            input.put_u8(byte);
            while let Some(frame) = receiver.decode(&mut input).unwrap() {
                seen.push(frame);
            }
        }
        assert_eq!(seen, frames);
    }

    #[test]
    fn data_passes_as_it_comes() {
        let mut codec = Codec::default();
        let mut input = BytesMut::from(&[0, 0, 0, 3, 1, 0, 0, 5, b'h'][..]);
        let piece = |data: &'static [u8], fin| {
            Some(Frame::Data {
                stream: 3,
                data: Bytes::from_static(data),
                fin,
            })
        };
        assert_eq!(codec.decode(&mut input).unwrap(), piece(b"h", false));
        assert_eq!(codec.decode(&mut input).unwrap(), None);
        input.extend(b"ello");
        input.extend(bytes_of(Frame::Ping(1)));
        assert_eq!(codec.decode(&mut input).unwrap(), piece(b"ello", true));
        assert_eq!(codec.decode(&mut input).unwrap(), Some(Frame::Ping(1)));
    }

    #[test]
    fn unknown_frames_are_skipped_and_wrong_ones_refused() {
        let mut input = BytesMut::from(&[0x80, 3, 0, 99, 0, 0, 0, 1, 7][..]);
        input.extend(bytes_of(Frame::Ping(2)));
        assert_eq!(
            Codec::default().decode(&mut input).unwrap(),
            Some(Frame::Ping(2))
        );
        for wrong in [
            &[0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1][..],
            &[0x80, 3, 0, 6, 0, 0, 0, 1, 0],
            &[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff],
        ] {
            assert!(Codec::default().decode(&mut BytesMut::from(wrong)).is_err());
        }
    }
}
