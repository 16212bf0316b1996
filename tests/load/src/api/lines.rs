//! The lines of an answer that goes on.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::ApiError;
use crate::connection::with_causes;

/// A watch: one event a line.
pub struct Lines {
    call: String,
    body: Incoming,
    split: Split,
}

impl Lines {
    pub(super) fn new(call: String, body: Incoming) -> Self {
        Self {
            call,
            body,
            split: Split::default(),
        }
    }

    /// The next line; none at the end. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Result<Bytes, ApiError>> {
        loop {
            if let Some(line) = self.split.next() {
                return Some(Ok(line));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.split.push(&data);
                    }
                }
                Err(error) => {
                    return Some(Err(ApiError::Broken {
                        call: self.call.clone(),
                        why: with_causes(&error),
                    }));
                }
            }
        }
    }
}

/// Lines out of pieces. Pure.
#[derive(Debug, Default)]
struct Split {
    bytes: BytesMut,
    /// Up to here there is no end of a line.
    looked: usize,
}

impl Split {
    fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    fn next(&mut self) -> Option<Bytes> {
        let rest = self.bytes.get(self.looked..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let mut line = self.bytes.split_to(self.looked + at + 1).freeze();
                self.looked = 0;
                line.truncate(line.len() - 1);
                Some(line)
            }
            None => {
                self.looked = self.bytes.len();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let sent = b"{1}\n{22}\n\n{333}\n{4";
        for size in 1..=sent.len() {
            let mut split = Split::default();
            let mut lines = Vec::new();
            for piece in sent.chunks(size) {
                split.push(piece);
                while let Some(line) = split.next() {
                    lines.push(line);
                }
            }
            assert_eq!(lines, ["{1}", "{22}", "", "{333}"], "{size}");
        }
    }
}
