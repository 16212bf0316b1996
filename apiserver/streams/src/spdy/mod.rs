//! SPDY/3.1, as far as Kubernetes' streaming endpoints speak it: streams with
//! headers, data, half close, reset, ping. Like the implementations on the
//! other side it leaves flow control to TCP.

mod codec;
mod headers;

pub use codec::Codec;

use bytes::Bytes;

/// Names and values of a header block.
pub type Headers = Vec<(String, String)>;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a stream.
    SynStream {
        /// Its number: odd from clients, even from servers.
        stream: u32,
        /// Its headers.
        headers: Headers,
        /// Whether the sender won't send on it.
        fin: bool,
    },
    /// Accepts a stream.
    SynReply {
        /// Its number.
        stream: u32,
        /// Headers in return.
        headers: Headers,
        /// Whether the sender won't send on it.
        fin: bool,
    },
    /// Ends a stream at once.
    RstStream {
        /// Its number.
        stream: u32,
        /// Why, e.g. 1 protocol error, 3 refused, 5 cancel.
        status: u32,
    },
    /// Settings of the session, undecoded.
    Settings(Bytes),
    /// To be sent back.
    Ping(u32),
    /// The sender takes no more streams.
    GoAway {
        /// The last stream it looked at.
        last: u32,
        /// 0 if all is well.
        status: u32,
    },
    /// More headers of a stream.
    Headers {
        /// Its number.
        stream: u32,
        /// The headers.
        headers: Headers,
        /// Whether the sender is done with the stream.
        fin: bool,
    },
    /// Flow control, which nobody here uses.
    WindowUpdate {
        /// The stream's number.
        stream: u32,
        /// Bytes more that may be sent.
        delta: u32,
    },
    /// Bytes of a stream.
    Data {
        /// Its number.
        stream: u32,
        /// The bytes.
        data: Bytes,
        /// Whether these are the sender's last.
        fin: bool,
    },
}
