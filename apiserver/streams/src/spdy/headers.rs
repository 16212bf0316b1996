//! Header blocks: compressed with one zlib stream per direction, whose window
//! starts with a dictionary.

use super::Headers;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use std::io;

/// A header block may not grow beyond this.
const MAX_BLOCK: usize = 1 << 20;

/// The first words of the dictionary, each preceded by its length.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding \
accept-language accept-ranges age allow authorization cache-control connection content-base \
content-encoding content-language content-length content-location content-md5 content-range \
content-type date etag expect expires from host if-match if-modified-since if-none-match if-range \
if-unmodified-since last-modified location max-forwards pragma proxy-authenticate \
proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public \
set-cookie keep-alive origin";

/// The rest of the dictionary.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417\
502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 \
Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service \
UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, \
Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,\
text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,\
utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut out = Vec::with_capacity(1423);
    for word in WORDS.split(' ') {
        let word = word.replace('_', " ");
        out.extend((word.len() as u32).to_be_bytes());
        out.extend(word.as_bytes());
    }
    out.extend(TEXT.as_bytes());
    out
}

/// zlib's header for "deflate, 32 KiB window, with a dictionary", and the
/// checksum of the dictionary.
const ZLIB_HEADER: [u8; 6] = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];

/// The bit of zlib's header that announces a dictionary.
const FDICT: u8 = 0x20;

fn corrupt(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("SPDY header block: {what}"),
    )
}

/// The compressing direction.
pub(super) struct Packer {
    deflate: Compress,
    started: bool,
}

impl Packer {
    pub(super) fn new() -> Self {
        Self {
            deflate: Compress::new(Compression::default(), false),
            started: false,
        }
    }

    /// Compresses a header block.
    pub(super) fn pack(&mut self, headers: &Headers) -> io::Result<Vec<u8>> {
        let mut plain = (headers.len() as u32).to_be_bytes().to_vec();
        for (name, value) in headers {
            for text in [name.to_ascii_lowercase().as_bytes(), value.as_bytes()] {
                plain.extend((text.len() as u32).to_be_bytes());
                plain.extend(text);
            }
        }
        let mut out = Vec::with_capacity(plain.len() + 128);
        if !self.started {
            out.extend(ZLIB_HEADER);
            self.started = true;
        }
        let start = self.deflate.total_in();
        loop {
            let used = (self.deflate.total_in() - start) as usize;
            self.deflate
                .compress_vec(&plain[used..], &mut out, FlushCompress::Sync)
                .map_err(|e| corrupt(&e.to_string()))?;
            if out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(128);
        }
    }
}

/// The decompressing direction.
pub(super) struct Unpacker {
    inflate: Decompress,
    started: bool,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            started: false,
        }
    }

    /// Decompresses a header block.
    pub(super) fn unpack(&mut self, mut packed: &[u8]) -> io::Result<Headers> {
        if !self.started {
            let [_, flags, rest @ ..] = packed else {
                return Err(corrupt("too short"));
            };
            packed = rest;
            if flags & FDICT != 0 {
                packed = packed.get(4..).ok_or_else(|| corrupt("too short"))?;
                self.prime()?;
            }
            self.started = true;
        }
        let plain = self.inflate(packed)?;
        parse(&plain)
    }

    /// Puts the dictionary into the window, as a block that is stored rather
    /// than compressed and whose output nobody needs.
    fn prime(&mut self) -> io::Result<()> {
        let dictionary = dictionary();
        let length = dictionary.len() as u16;
        let mut block = vec![0];
        block.extend(length.to_le_bytes());
        block.extend((!length).to_le_bytes());
        block.extend(dictionary);
        self.inflate(&block).map(drop)
    }

    fn inflate(&mut self, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(4096);
        let start = self.inflate.total_in();
        loop {
            let used = (self.inflate.total_in() - start) as usize;
            let before = (used, out.len());
            self.inflate
                .decompress_vec(&packed[used..], &mut out, FlushDecompress::Sync)
                .map_err(|e| corrupt(&e.to_string()))?;
            let used = (self.inflate.total_in() - start) as usize;
            if out.len() == out.capacity() {
                if out.len() >= MAX_BLOCK {
                    return Err(corrupt("too large"));
                }
                out.reserve(out.len());
            } else if used == packed.len() {
                return Ok(out);
            } else if before == (used, out.len()) {
                return Err(corrupt("bytes after its end"));
            }
        }
    }
}

fn parse(mut plain: &[u8]) -> io::Result<Headers> {
    fn number(plain: &mut &[u8]) -> io::Result<usize> {
        let (head, rest) = plain
            .split_first_chunk::<4>()
            .ok_or_else(|| corrupt("cut off"))?;
        *plain = rest;
        Ok(u32::from_be_bytes(*head) as usize)
    }
    fn text(plain: &mut &[u8]) -> io::Result<String> {
        let length = number(plain)?;
        let (head, rest) = plain
            .split_at_checked(length)
            .ok_or_else(|| corrupt("cut off"))?;
        *plain = rest;
        String::from_utf8(head.to_vec()).map_err(|_| corrupt("not UTF-8"))
    }
    let count = number(&mut plain)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        headers.push((text(&mut plain)?, text(&mut plain)?));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adler32(data: &[u8]) -> u32 {
        let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
            let a = (a + u32::from(*byte)) % 65521;
            (a, (b + a) % 65521)
        });
        b << 16 | a
    }

    #[test]
    fn the_dictionary_is_that_of_the_draft() {
        assert_eq!(dictionary().len(), 1423);
        assert_eq!(adler32(&dictionary()).to_be_bytes(), ZLIB_HEADER[2..]);
    }

    #[test]
    fn blocks_share_one_stream() {
        let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
        for round in 0..50 {
            let headers = vec![
                ("streamtype".to_owned(), "stdout".to_owned()),
                ("port".to_owned(), round.to_string()),
                ("long".to_owned(), "x".repeat(round * 500)),
            ];
            let packed = packer.pack(&headers).unwrap();
            assert_eq!(unpacker.unpack(&packed).unwrap(), headers);
        }
        assert_eq!(
            unpacker.unpack(&packer.pack(&vec![]).unwrap()).unwrap(),
            vec![]
        );
    }

    #[test]
    fn reads_what_refers_to_the_dictionary() {
        // zlib's output (level 9, this dictionary) for {"content-type": "text/plain"}.
        let hex = REFERENCE;
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect();
        assert_eq!(
            Unpacker::new().unpack(&bytes).unwrap(),
            vec![("content-type".to_owned(), "text/plain".to_owned())]
        );
    }

    const REFERENCE: &str = "78f9e3c6a7c202a623462c850917c21500000000ffff";

    #[test]
    fn garbage_is_an_error() {
        assert!(Unpacker::new().unpack(&[]).is_err());
        assert!(Unpacker::new().unpack(&[0x78, 0xbb, 1]).is_err());
        assert!(
            Unpacker::new()
                .unpack(&[0x78, 0x9c, 0xff, 0xff, 0xff])
                .is_err()
        );
    }
}
