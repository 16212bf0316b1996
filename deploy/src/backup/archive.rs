//! The archive: a compressed tar whose last file has the SHA-256 of all others, as `sha256sum`
//! writes them, so that it can be looked into and checked without this tool. Without that last
//! file it is cut, whatever else it has.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{FACTS, Facts, SNAPSHOT};

/// The archive's last file.
const SUMS: &str = "SHA256SUMS";
/// Files but for the snapshot are small: keys, settings.
const SMALL: u64 = 1 << 20;

/// Why an archive can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read, or decompressed.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It ends before its checksums.
    #[error("it is cut: it has no {SUMS}")]
    Cut,
    /// A file isn't what was written.
    #[error("{0} is not what was backed up: its checksum is another one")]
    Changed(String),
    /// A file is missing, or too much.
    #[error("{0} is in the archive or in its checksums only")]
    Incomplete(String),
    /// What no backup has in it.
    #[error("{0:?} does not belong into a backup")]
    Foreign(String),
    /// What it is of isn't said as this tool says it.
    #[error("{FACTS}: {0}")]
    Facts(serde_json::Error),
}

/// The name of a file in an archive, and its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Relative to the root of a host's file system, or one of the archive's own.
    pub path: String,
    /// Who may read it.
    pub mode: u32,
}

/// Writes an archive.
pub struct Writer<W: Write> {
    tar: Builder<GzEncoder<W>>,
    sums: String,
    time: u64,
}

impl<W: Write> Writer<W> {
    /// Begins one whose files are of this time.
    pub fn new(to: W, time: Timestamp) -> Self {
        // The fastest: more would take longer than the network does.
        let compressed = GzEncoder::new(to, Compression::fast());
        Self {
            tar: Builder::new(compressed),
            sums: String::new(),
            time: u64::try_from(time.as_second()).unwrap_or(0),
        }
    }

    /// Adds a file of this size.
    ///
    /// # Errors
    /// If it has another one, or can't be read or written.
    pub fn add(&mut self, name: &str, mode: u32, size: u64, from: impl Read) -> io::Result<()> {
        let mut hashing = Hashing::new(from);
        self.append(name, mode, size, &mut hashing)?;
        let found = hashing.count;
        if found != size {
            let why = format!("{name} has {found} bytes in place of {size}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.sums.push_str(&format!("{}  {name}\n", hashing.hex()));
        Ok(())
    }

    fn append(&mut self, name: &str, mode: u32, size: u64, from: impl Read) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.time);
        self.tar.append_data(&mut header, name, from)
    }

    /// Ends it with the checksums.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(mut self) -> io::Result<W> {
        let sums = std::mem::take(&mut self.sums);
        self.append(SUMS, 0o600, sums.len() as u64, sums.as_bytes())?;
        self.tar.into_inner()?.finish()
    }
}

/// Reads an archive to its end: each file is handed over as it comes, before it is known
/// whether it is whole.
///
/// # Errors
/// If anything is wrong with it; what was handed over is then of no use.
pub fn read(
    from: impl Read,
    mut take: impl FnMut(&Name, &mut dyn Read) -> io::Result<()>,
) -> Result<Facts, Error> {
    let mut archive = tar::Archive::new(GzDecoder::new(from));
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut facts = None;
    let mut sums = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let is_file = entry.header().entry_type() == EntryType::Regular;
        let is_new = !found.contains_key(&path) && sums.is_none();
        // The size by which it is read: an extended header's, where there is one.
        let is_small = entry.size() <= SMALL || path == SNAPSHOT;
        if !is_file || !is_new || !is_small || !belongs(&path) {
            return Err(Error::Foreign(path));
        }
        if path == SUMS {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            sums = Some(text);
            continue;
        }
        let name = Name {
            mode: entry.header().mode()?,
            path,
        };
        let mut hashing = Hashing::new(&mut entry);
        if name.path == FACTS {
            let mut text = Vec::new();
            hashing.read_to_end(&mut text)?;
            facts = Some(text);
        } else {
            take(&name, &mut hashing)?;
            io::copy(&mut hashing, &mut io::sink())?;
        }
        found.insert(name.path, hashing.hex());
    }
    compare(&found, &sums.ok_or(Error::Cut)?)?;
    // To the end of the compressed data, where its own checksum is.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    for needed in [FACTS, SNAPSHOT] {
        if !found.contains_key(needed) {
            return Err(Error::Incomplete(needed.to_owned()));
        }
    }
    parse(&facts.unwrap_or_default())
}

/// What an archive is of, by its first file.
///
/// # Errors
/// If it can't be read, or its first file is another one.
pub fn first(from: impl Read) -> Result<Facts, Error> {
    let mut archive = tar::Archive::new(GzDecoder::new(from));
    let mut entry = archive.entries()?.next().ok_or(Error::Cut)??;
    let path = entry.path()?.to_string_lossy().into_owned();
    if path != FACTS || entry.size() > SMALL {
        return Err(Error::Foreign(path));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text)?;
    parse(&text)
}

fn parse(text: &[u8]) -> Result<Facts, Error> {
    serde_json::from_slice(text).map_err(Error::Facts)
}

/// Whether a backup has such a file: nothing is written anywhere else, whatever an archive says.
fn belongs(path: &str) -> bool {
    let is_below = ["etc/hardway/", "etc/default/hardway-"]
        .iter()
        .any(|folder| path.starts_with(folder));
    let is_plain = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    [FACTS, SNAPSHOT, SUMS].contains(&path) || (is_below && is_plain)
}

fn compare(found: &BTreeMap<String, String>, sums: &str) -> Result<(), Error> {
    let mut expected: BTreeMap<&str, &str> = BTreeMap::new();
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").ok_or(Error::Cut)?;
        expected.insert(path, sum);
    }
    for (path, sum) in found {
        match expected.remove(path.as_str()) {
            None => return Err(Error::Incomplete(path.clone())),
            Some(expected) if expected == sum => {}
            Some(_) => return Err(Error::Changed(path.clone())),
        }
    }
    match expected.first_key_value() {
        Some((path, _)) => Err(Error::Incomplete((*path).to_owned())),
        None => Ok(()),
    }
}

/// Reads, and hashes what is read.
struct Hashing<R> {
    from: R,
    hash: Sha256,
    count: u64,
}

impl<R: Read> Hashing<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            hash: Sha256::new(),
            count: 0,
        }
    }

    fn hex(self) -> String {
        let hash = self.hash.finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn facts() -> Facts {
        Facts {
            format: 1,
            created: Timestamp::UNIX_EPOCH,
            hardway: "0.1.0".to_owned(),
            etcd: "3.4.23".to_owned(),
            cluster: "hardway".to_owned(),
            host: "control-plane".to_owned(),
            address: [10, 88, 0, 10].into(),
            revision: 7,
            members: 1,
        }
    }

    fn write(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), Timestamp::UNIX_EPOCH);
        for (name, content) in files {
            writer
                .add(name, 0o600, content.len() as u64, *content)
                .unwrap();
        }
        writer.finish().unwrap()
    }

    fn sample() -> Vec<u8> {
        let facts = serde_json::to_vec(&facts()).unwrap();
        // Not compressible, so that it has a length to be cut at.
        let snapshot: Vec<u8> = (0..20_000_u32)
            .flat_map(|it| it.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        write(&[
            (FACTS, &facts),
            ("etc/hardway/pki/ca.key", b"key"),
            (SNAPSHOT, &snapshot),
        ])
    }

    fn outcome(bytes: &[u8]) -> Result<Facts, String> {
        read(bytes, |_, _| Ok(())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample();
        let mut names = Vec::new();
        let read = read(&bytes[..], |name, from| {
            let mut content = Vec::new();
            from.read_to_end(&mut content)?;
            names.push((name.path.clone(), content.len()));
            Ok(())
        });
        assert_eq!(read.unwrap(), facts());
        assert_eq!(first(&bytes[..]).unwrap(), facts());
        let expected = [("etc/hardway/pki/ca.key", 3), (SNAPSHOT, 80_000)];
        assert_eq!(names, expected.map(|(name, size)| (name.to_owned(), size)));
    }

    #[test]
    fn one_that_is_cut_or_changed_anywhere_is_refused() {
        let bytes = sample();
        for end in (0..bytes.len()).step_by(997) {
            assert!(outcome(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in (10..bytes.len()).step_by(1009) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(outcome(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn one_that_was_packed_anew_is_compared_with_its_checksums() {
        let facts = serde_json::to_vec(&facts()).unwrap();
        let with = |name: &str, content: &[u8], sums: &str| {
            let mut writer = Writer::new(Vec::new(), Timestamp::UNIX_EPOCH);
            writer
                .add(FACTS, 0o600, facts.len() as u64, &facts[..])
                .unwrap();
            writer.add(SNAPSHOT, 0o600, 1, &b"s"[..]).unwrap();
            let kept = writer.sums.clone();
            writer
                .add(name, 0o600, content.len() as u64, content)
                .unwrap();
            writer.sums = kept + sums;
            outcome(&writer.finish().unwrap())
        };
        let sum = format!("{:064x}  etc/hardway/x\n", 7);
        let why = with("etc/hardway/x", b"x", &sum).unwrap_err();
        assert!(
            why.starts_with("etc/hardway/x is not what was backed up"),
            "{why}"
        );
        let why = with("etc/hardway/x", b"x", "").unwrap_err();
        assert!(why.contains("only"), "{why}");
        let more = format!("{sum}{:064x}  etc/hardway/y\n", 7);
        assert!(with("etc/hardway/x", b"x", &more).is_err());
        for foreign in ["etc/passwd", "etc/hardway/../passwd", "root/x"] {
            // The library itself refuses to write what leads out.
            if foreign.contains("..") {
                assert!(!belongs(foreign));
                continue;
            }
            let why = with(foreign, b"x", "").unwrap_err();
            assert!(why.contains("does not belong"), "{why}");
        }
    }

    #[test]
    fn what_is_announced_as_small_is_small() {
        for name in [FACTS, "etc/hardway/x", SUMS] {
            let content = vec![b' '; usize::try_from(SMALL).unwrap() + 1];
            let mut writer = Writer::new(Vec::new(), Timestamp::UNIX_EPOCH);
            let size = content.len().to_string();
            let extended = [("size", size.as_bytes())];
            writer.tar.append_pax_extensions(extended).unwrap();
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_path(name).unwrap();
            header.set_mode(0o600);
            header.set_size(1);
            header.set_cksum();
            writer.tar.append(&header, &content[..]).unwrap();
            let bytes = writer.finish().unwrap();
            let foreign = |found: Result<Facts, Error>| matches!(found, Err(Error::Foreign(it)) if it == name);
            let handed_over = |_: &Name, _: &mut dyn Read| panic!("{name} was handed over");
            assert!(foreign(read(&bytes[..], handed_over)), "{name}");
            assert!(foreign(first(&bytes[..])), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_announced_ends_the_backup() {
        let mut writer = Writer::new(Vec::new(), Timestamp::UNIX_EPOCH);
        assert!(writer.add(SNAPSHOT, 0o600, 5, &b"four"[..]).is_err());
    }
}
