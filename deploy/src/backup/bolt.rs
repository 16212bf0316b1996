//! The file in which etcd has its revisions, as far as a restored one must be changed: the
//! number of its last revision.
//!
//! Clients have seen revisions that came after the backup. Were they given out once more, for
//! other contents, a watch would go on as if nothing had been, and its cache would never hear of
//! what is different. etcd takes the greatest revision among its records for the present one, so
//! it is enough to give the last record a greater one: in place, where the record's value and all
//! others stay as they are. (`etcdutl snapshot restore --bump-revision`, which etcd has from 3.6
//! on, adds a record for the same end.)
//!
//! The format is that of bbolt (`page.go`, `db.go`, `bucket.go`), whose pages have no checksums
//! but for the two metas.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// etcd's bucket of all records, by revision.
const RECORDS: &[u8] = b"key";

/// bbolt's, at the start of a meta.
const MAGIC: u32 = 0xED0C_DAED;
/// Bytes before a page's elements.
const PAGE_HEADER: usize = 16;
/// Bytes of an element, of leaves as of branches.
const ELEMENT: usize = 16;
/// Bytes before the page of a bucket that is within its parent's.
const BUCKET_HEADER: usize = 16;
/// Of a page.
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
/// How deep a tree may be; one of a terabyte is less so.
const DEPTH: usize = 32;
/// Sizes that pages have: the system's, from 4 KiB to 64 KiB.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 512..=(1 << 20);

/// A file that is open for a change.
#[derive(Debug)]
pub struct Store {
    file: File,
    page_size: u64,
    root: u64,
}

/// A page in memory, and where it is in the file.
struct Page {
    bytes: Vec<u8>,
    offset: u64,
}

/// A key in the file.
struct Place {
    offset: u64,
    key: Vec<u8>,
}

impl Store {
    /// Opens a file that no etcd has open.
    ///
    /// # Errors
    /// If it can't be read, or is no such file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        // The second meta is a page further; how large pages are the first one says, or where
        // that is torn, the machine.
        let first = meta(&file, 0)?;
        let size = first.as_ref().map_or(4096, |meta| meta.page_size);
        let second = meta(&file, size)?;
        let newest = first.into_iter().chain(second).max_by_key(|it| it.txid);
        let newest = newest.ok_or_else(|| invalid("it has no valid meta page"))?;
        Ok(Self {
            file,
            page_size: newest.page_size,
            root: newest.root,
        })
    }

    /// The last revision of which there is a record.
    ///
    /// # Errors
    /// If there is none.
    pub fn last_revision(&self) -> io::Result<i64> {
        let places = self.last_record()?;
        revision(&leaf(&places)?.key)
    }

    /// Gives the last record a greater revision.
    ///
    /// # Errors
    /// If there is no record, or the revision isn't greater.
    pub fn raise_to(&self, new: i64) -> io::Result<()> {
        let places = self.last_record()?;
        let old = leaf(&places)?.key.clone();
        if new <= revision(&old)? {
            return Err(invalid("a revision can only become greater"));
        }
        // Branches repeat the first key of what is below; it is the same one where a record is
        // alone in its page.
        for place in places.iter().filter(|place| place.key == old) {
            self.file.write_all_at(&new.to_be_bytes(), place.offset)?;
        }
        self.file.sync_all()
    }

    /// The last record's key, and before it the last keys of the branches above.
    fn last_record(&self) -> io::Result<Vec<Place>> {
        let mut page = self.records()?;
        let mut places = Vec::new();
        for _ in 0..DEPTH {
            let count = page.count();
            let Some(last) = count.checked_sub(1) else {
                return Err(invalid("etcd has stored nothing in it"));
            };
            places.push(page.key(last)?);
            match page.flags() {
                LEAF => return Ok(places),
                BRANCH => page = self.page(page.child(last)?)?,
                flags => return Err(invalid(format!("a page is of no kind: {flags:#x}"))),
            }
        }
        Err(invalid("its tree has no end"))
    }

    /// The root of the records' tree.
    fn records(&self) -> io::Result<Page> {
        let mut page = self.page(self.root)?;
        for _ in 0..DEPTH {
            let keys: Vec<Place> = (0..page.count())
                .map(|index| page.key(index))
                .collect::<io::Result<_>>()?;
            match page.flags() {
                BRANCH => {
                    // The last one that isn't behind it.
                    let behind = keys.partition_point(|place| place.key.as_slice() <= RECORDS);
                    let index = behind.saturating_sub(1);
                    page = self.page(page.child(index)?)?;
                }
                _ => {
                    let index = keys.iter().position(|place| place.key == RECORDS);
                    let index = index.ok_or_else(|| invalid("it has no records of etcd"))?;
                    return self.bucket(&page, index);
                }
            }
        }
        Err(invalid("its tree has no end"))
    }

    /// The root of a bucket, which may be within its parent's page.
    fn bucket(&self, parent: &Page, index: usize) -> io::Result<Page> {
        let (at, length) = parent.value(index)?;
        let value = parent.slice(at, length)?;
        let root = u64_at(value, 0)?;
        if root != 0 {
            return self.page(root);
        }
        let inner = value.get(BUCKET_HEADER..);
        let inner = inner.filter(|page| page.len() >= PAGE_HEADER);
        let inner = inner.ok_or_else(|| invalid("a bucket is cut"))?;
        Ok(Page {
            bytes: inner.to_vec(),
            offset: parent.offset + (at + BUCKET_HEADER) as u64,
        })
    }

    fn page(&self, number: u64) -> io::Result<Page> {
        let offset = number
            .checked_mul(self.page_size)
            .ok_or_else(|| invalid("a page is nowhere"))?;
        let mut bytes = vec![0; self.page_size as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        let overflow = u64::from(u32_at(&bytes, 12)?);
        let length = (overflow + 1) * self.page_size;
        if offset.saturating_add(length) > self.file.metadata()?.len() {
            return Err(invalid("a page goes beyond its end"));
        }
        bytes.resize(length as usize, 0);
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(Page { bytes, offset })
    }
}

impl Page {
    fn flags(&self) -> u16 {
        u16::from_le_bytes([self.bytes[8], self.bytes[9]])
    }

    fn count(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[10], self.bytes[11]]))
    }

    /// Where an element's data is, and how long key and value are.
    fn element(&self, index: usize) -> io::Result<(usize, usize, usize)> {
        let at = PAGE_HEADER + index * ELEMENT;
        let number = |offset| u32_at(&self.bytes, at + offset).map(|number| number as usize);
        Ok(match self.flags() {
            BRANCH => (at + number(0)?, number(4)?, 0),
            _ => (at + number(4)?, number(8)?, number(12)?),
        })
    }

    fn key(&self, index: usize) -> io::Result<Place> {
        let (at, length, _) = self.element(index)?;
        Ok(Place {
            offset: self.offset + at as u64,
            key: self.slice(at, length)?.to_vec(),
        })
    }

    /// Where a leaf's value is, and how long.
    fn value(&self, index: usize) -> io::Result<(usize, usize)> {
        let (at, key, value) = self.element(index)?;
        Ok((at + key, value))
    }

    /// The page below a branch's element.
    fn child(&self, index: usize) -> io::Result<u64> {
        u64_at(&self.bytes, PAGE_HEADER + index * ELEMENT + 8)
    }

    fn slice(&self, at: usize, length: usize) -> io::Result<&[u8]> {
        let slice = at
            .checked_add(length)
            .and_then(|end| self.bytes.get(at..end));
        slice.ok_or_else(|| invalid("an element goes beyond its page"))
    }
}

/// What a meta page says.
struct Meta {
    page_size: u64,
    root: u64,
    txid: u64,
}

/// The meta in the page at an offset; none if it is torn.
fn meta(file: &File, offset: u64) -> io::Result<Option<Meta>> {
    let mut bytes = [0; PAGE_HEADER + 64];
    match file.read_exact_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let meta = &bytes[PAGE_HEADER..];
    let page_size = u64::from(u32_at(meta, 8)?);
    let is_whole = u32_at(meta, 0)? == MAGIC
        && u64_at(meta, 56)? == fnv(&meta[..56])
        && PAGE_SIZES.contains(&page_size);
    is_whole
        .then(|| {
            Ok::<_, io::Error>(Meta {
                page_size,
                root: u64_at(meta, 16)?,
                txid: u64_at(meta, 48)?,
            })
        })
        .transpose()
}

/// FNV-1a of 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn leaf(places: &[Place]) -> io::Result<&Place> {
    places.last().ok_or_else(|| invalid("its tree is empty"))
}

/// The revision in a record's key: eight bytes, `_`, eight more for the place in its
/// transaction, and a `t` for one that says that something is gone.
fn revision(key: &[u8]) -> io::Result<i64> {
    match (key.len(), key.first_chunk(), key.get(8)) {
        (17 | 18, Some(main), Some(b'_')) => Ok(i64::from_be_bytes(*main)),
        _ => Err(invalid("a record's key is none of etcd's")),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found
        .map(|bytes| u32::from_le_bytes(*bytes))
        .ok_or_else(|| invalid("a page is cut"))
}

fn u64_at(bytes: &[u8], at: usize) -> io::Result<u64> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found
        .map(|bytes| u64::from_le_bytes(*bytes))
        .ok_or_else(|| invalid("a page is cut"))
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 4096;

    fn key(main: i64, sub: i64) -> Vec<u8> {
        [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes()].concat()
    }

    /// A page of elements; for a branch the value is the number of the page below.
    fn page(flags: u16, elements: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_HEADER];
        bytes[8..10].copy_from_slice(&flags.to_le_bytes());
        bytes[10..12].copy_from_slice(&(elements.len() as u16).to_le_bytes());
        let mut data = Vec::new();
        for (index, (key, value)) in elements.iter().enumerate() {
            let position = ((elements.len() - index) * ELEMENT + data.len()) as u32;
            let length = key.len() as u32;
            let words = match flags {
                BRANCH => [position, length, u32::from(value[0]), 0],
                _ => [
                    u32::from(value.len() == 16),
                    position,
                    length,
                    value.len() as u32,
                ],
            };
            words
                .iter()
                .for_each(|word| bytes.extend(word.to_le_bytes()));
            data.extend_from_slice(key);
            if flags == LEAF {
                data.extend_from_slice(value);
            }
        }
        bytes.extend(data);
        bytes
    }

    fn meta_page(root: u64, txid: u64) -> Vec<u8> {
        let mut meta = Vec::new();
        meta.extend(MAGIC.to_le_bytes());
        meta.extend(2_u32.to_le_bytes());
        meta.extend((SIZE as u32).to_le_bytes());
        meta.extend(0_u32.to_le_bytes());
        for number in [root, 0, 0, 9, txid] {
            meta.extend(number.to_le_bytes());
        }
        meta.extend(fnv(&meta).to_le_bytes());
        [vec![0; PAGE_HEADER], meta].concat()
    }

    fn file(pages: &[Vec<u8>]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = Vec::new();
        for page in pages {
            bytes.extend(page);
            bytes.resize(bytes.len().next_multiple_of(SIZE), 0);
        }
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn bucket(root: u64) -> Vec<u8> {
        [root.to_le_bytes(), 0_u64.to_le_bytes()].concat()
    }

    #[test]
    fn the_last_record_is_found_below_branches_and_raised_with_them() {
        let record = |main, sub| (key(main, sub), b"value".to_vec());
        let root = page(
            LEAF,
            &[
                (b"alarm".to_vec(), bucket(9)),
                (RECORDS.to_vec(), bucket(3)),
                (b"meta".to_vec(), bucket(9)),
            ],
        );
        let branch = page(BRANCH, &[(key(5, 0), vec![4]), (key(7, 2), vec![5])]);
        let leaves = [
            page(LEAF, &[record(5, 0), record(7, 0), record(7, 1)]),
            // Alone in its page: the branch has the same key.
            page(LEAF, &[record(7, 2)]),
        ];
        let file = file(&[
            meta_page(8, 1),
            meta_page(2, 2),
            root,
            branch,
            leaves[0].clone(),
            leaves[1].clone(),
        ]);
        let store = Store::open(file.path()).unwrap();
        assert_eq!(store.last_revision().unwrap(), 7);
        assert!(store.raise_to(7).is_err());
        store.raise_to(1_000_000_007).unwrap();
        assert_eq!(store.last_revision().unwrap(), 1_000_000_007);
        let places = store.last_record().unwrap();
        assert!(places.iter().all(|it| it.key == key(1_000_000_007, 2)));
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn few_records_are_within_the_root() {
        let mut last = key(3, 0);
        last.push(b't');
        let inner = page(LEAF, &[(key(2, 0), b"v".to_vec()), (last, Vec::new())]);
        let root = page(LEAF, &[(RECORDS.to_vec(), [bucket(0), inner].concat())]);
        let file = file(&[meta_page(2, 1), meta_page(2, 0), root]);
        let store = Store::open(file.path()).unwrap();
        assert_eq!(store.last_revision().unwrap(), 3);
        store.raise_to(500).unwrap();
        assert_eq!(store.last_revision().unwrap(), 500);
    }

    #[test]
    fn other_files_are_refused() {
        for pages in [
            vec![vec![1; SIZE]],
            vec![meta_page(2, 1), meta_page(2, 2)],
            vec![meta_page(2, 1), meta_page(2, 2), page(LEAF, &[])],
            vec![
                meta_page(2, 1),
                meta_page(2, 2),
                page(LEAF, &[(RECORDS.to_vec(), bucket(7))]),
            ],
        ] {
            let file = file(&pages);
            let found = Store::open(file.path()).and_then(|store| store.last_revision());
            assert!(found.is_err(), "{found:?}");
        }
    }
}
