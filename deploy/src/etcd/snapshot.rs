//! A snapshot of a member's store, streamed as it comes: the file with its SHA-256 behind it,
//! as `etcdctl snapshot restore` takes it.

use std::io::{self, Read};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Client;
use crate::failure::{Failure, Result};
use crate::http::{Lines, Request};

/// How long etcd may say nothing; it reads its file from a disk that may be slow.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of a SHA-256.
const HASH: u64 = 32;

/// A snapshot, to be read to its end.
#[derive(Debug)]
pub struct Snapshot<S> {
    parts: S,
    /// Bytes of it, the hash among them.
    size: u64,
    read: u64,
    hash: Sha256,
    /// The part that is read at present, from `at` on.
    part: Vec<u8>,
    at: usize,
}

impl Client {
    /// Begins a snapshot of the member that answers first.
    ///
    /// # Errors
    /// If none does, or what it says is no snapshot.
    pub fn snapshot(&self) -> Result<Snapshot<Lines>> {
        let request = Request {
            method: "POST",
            path: "/v3/maintenance/snapshot",
            content_type: "application/json",
            body: b"{}",
        };
        let mut failure = Failure::new("take a snapshot of etcd", "no member is known");
        for endpoint in self.endpoints() {
            match Lines::of(*endpoint, &request, self.identity(), SILENCE) {
                Ok(lines) => return Snapshot::begin(lines),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl<S: Iterator<Item = Result<String>>> Snapshot<S> {
    /// Takes the first part, which says how much is still to come.
    fn begin(mut parts: S) -> Result<Self> {
        let what = "take a snapshot of etcd";
        let line = parts
            .next()
            .ok_or_else(|| Failure::new(what, "it is empty"))??;
        let (part, remaining) = read(&line).map_err(|error| Failure::new(what, error))?;
        Ok(Self {
            parts,
            size: part.len() as u64 + remaining + HASH,
            read: 0,
            hash: Sha256::new(),
            part,
            at: 0,
        })
    }

    /// Bytes that will be read.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// A part's bytes, and how many of the file follow.
fn read(line: &str) -> io::Result<(Vec<u8>, u64)> {
    let value: Value = serde_json::from_str(line)?;
    if let Some(error) = value.get("error") {
        return Err(io::Error::other(error.to_string()));
    }
    let blob = value["result"]["blob"].as_str().unwrap_or_default();
    let blob = BASE64_STANDARD.decode(blob).map_err(io::Error::other)?;
    let remaining = value["result"]["remaining_bytes"].as_str();
    Ok((blob, remaining.and_then(|it| it.parse().ok()).unwrap_or(0)))
}

impl<S: Iterator<Item = Result<String>>> Read for Snapshot<S> {
    /// The end is one only if all came that was announced, and its hash is right.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.part.len() {
            let Some(line) = self.parts.next() else {
                return match self.read == self.size {
                    true => Ok(0),
                    false => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("etcd sent {} of {} bytes", self.read, self.size),
                    )),
                };
            };
            (self.part, _) = read(&line.map_err(io::Error::other)?)?;
            self.at = 0;
        }
        let part = &self.part[self.at..];
        let count = part.len().min(buffer.len());
        let bytes = &part[..count];
        let hashed = self.size.saturating_sub(HASH).saturating_sub(self.read);
        let (data, hash) = bytes.split_at(count.min(usize::try_from(hashed).unwrap_or(count)));
        self.hash.update(data);
        if !hash.is_empty() {
            // It comes as a part of its own, which is as long as any buffer at least.
            let expected = self.hash.clone().finalize();
            let at = usize::try_from(self.read + data.len() as u64 + HASH - self.size).unwrap_or(0);
            if expected.get(at..at + hash.len()) != Some(hash) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the snapshot's hash isn't that of what came",
                ));
            }
        }
        buffer[..count].copy_from_slice(bytes);
        self.at += count;
        self.read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcd 3.4 sends: parts that say how much follows, and last the hash.
    fn lines(parts: &[&[u8]], hash: &[u8]) -> Vec<Result<String>> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut sent = 0;
        let mut all = Vec::new();
        for part in parts {
            sent += part.len();
            all.push(Ok(serde_json::json!({"result": {
                "header": {"revision": "7"},
                "remaining_bytes": (total - sent).to_string(),
                "blob": BASE64_STANDARD.encode(part),
            }})
            .to_string()));
        }
        let hash = BASE64_STANDARD.encode(hash);
        all.push(Ok(serde_json::json!({"result": {"blob": hash}}).to_string()));
        all
    }

    fn all_of(lines: Vec<Result<String>>) -> io::Result<Vec<u8>> {
        let mut snapshot = Snapshot::begin(lines.into_iter()).unwrap();
        let mut bytes = Vec::new();
        // Smaller than the parts, so that these are read in pieces.
        let mut buffer = [0; 5];
        loop {
            match snapshot.read(&mut buffer)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn a_snapshot_is_the_file_and_its_hash() {
        let hash = Sha256::digest(b"one page and another");
        let parts: [&[u8]; 2] = [b"one page ", b"and another"];
        let read = all_of(lines(&parts, &hash)).unwrap();
        assert_eq!(read, [b"one page and another".as_slice(), &hash].concat());
        let begun = Snapshot::begin(lines(&parts, &hash).into_iter()).unwrap();
        assert_eq!(begun.size(), 20 + 32);
    }

    #[test]
    fn one_that_is_cut_or_changed_is_none() {
        let hash = Sha256::digest(b"one page and another");
        let parts: [&[u8]; 2] = [b"one page ", b"and another"];
        let mut cut = lines(&parts, &hash);
        cut.pop();
        let why = all_of(cut).unwrap_err().to_string();
        assert_eq!(why, "etcd sent 20 of 52 bytes");
        let changed: [&[u8]; 2] = [b"one page ", b"and ANOTHER"];
        assert!(all_of(lines(&changed, &hash)).is_err());
        let failed = vec![
            lines(&parts, &hash).remove(0),
            Ok(r#"{"error":{"message":"mvcc: database is gone"}}"#.to_owned()),
        ];
        let why = all_of(failed).unwrap_err().to_string();
        assert!(why.contains("database is gone"), "{why}");
    }
}
