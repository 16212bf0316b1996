//! Logs of containers as the runtime writes them: read for `kubectl logs`,
//! and rotated before they grow too large.

mod files;
mod line;
mod rotate;

pub use rotate::Rotator;

use hardway_client::notify::Watch;
use jiff::Timestamp;
use line::Line;
use std::fs::Metadata;
use std::future::Future;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::pin;
use tokio::fs::File;
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt, BufReader,
};

/// What of a log is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Go on with what is written later.
    pub follow: bool,
    /// Nothing older than this.
    pub since: Option<Timestamp>,
    /// Begin lines with their time.
    pub timestamps: bool,
    /// Only so many lines from the end.
    pub tail: Option<u64>,
    /// No more than this.
    pub limit_bytes: Option<u64>,
    /// Only `stdout` or only `stderr`.
    pub stream: Option<String>,
}

/// Copies a log. With `follow` that ends when `ended` does (when the container
/// has ended) and all is copied; a rotation in between loses nothing. Below
/// `root` no links are followed.
pub async fn read<W: AsyncWrite + Unpin>(
    root: &Path,
    path: &Path,
    options: &Options,
    ended: impl Future<Output = ()>,
    out: &mut W,
) -> io::Result<()> {
    // Watched before the first read, so that no change falls in between.
    let watch = options
        .follow
        .then(|| Watch::new(path.parent().unwrap_or(Path::new("/"))));
    let mut file = open(root, path)?;
    if let Some(lines) = options.tail {
        let start = tail_start(&mut file, lines).await?;
        file.seek(SeekFrom::Start(start)).await?;
    }
    let mut copy = Copy {
        options,
        out,
        left: options.limit_bytes.unwrap_or(u64::MAX),
        at_line_start: true,
        pending: Vec::new(),
    };
    let mut reader = BufReader::new(file);
    let mut ended = pin!(ended);
    let mut over = false;
    loop {
        if copy.all_of(&mut reader).await? {
            return Ok(());
        }
        let Some(watch) = &watch else { return Ok(()) };
        if let Some(next) = rotated(&reader, root, path).await? {
            // What was written between the last read and the rotation.
            if copy.all_of(&mut reader).await? {
                return Ok(());
            }
            copy.pending.clear();
            reader = BufReader::new(next);
            continue;
        }
        if over {
            return Ok(());
        }
        copy.out.flush().await?;
        tokio::select! {
            () = watch.changed() => {}
            () = &mut ended => over = true,
        }
    }
}

/// Opens a log, but no link put on the way to it, below `root`, by who may
/// write there: that would tell any file of the host to whoever may read the
/// log.
pub fn open(root: &Path, path: &Path) -> io::Result<File> {
    files::open_file(root, path).map(File::from_std)
}

/// The file that is at the path now, if it isn't the one being read.
async fn rotated(reader: &BufReader<File>, root: &Path, path: &Path) -> io::Result<Option<File>> {
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let here = reader.get_ref().metadata().await?;
    match tokio::fs::symlink_metadata(path).await {
        Ok(there) if identity(&there) != identity(&here) => Ok(Some(open(root, path)?)),
        Ok(_) => Ok(None),
        // Between being moved away and being made anew.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the last so many lines begin.
async fn tail_start(file: &mut File, lines: u64) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let size = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(size);
    }
    let mut end = size;
    let mut seen = 0;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start)).await?;
        block.resize((end - start) as usize, 0);
        file.read_exact(&mut block).await?;
        for (at, byte) in block.iter().enumerate().rev() {
            let position = start + at as u64;
            // The newline at the very end ends the last line, begins none.
            if *byte == b'\n' && position + 1 < size {
                seen += 1;
                if seen == lines {
                    return Ok(position + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

struct Copy<'a, W> {
    options: &'a Options,
    out: &'a mut W,
    left: u64,
    at_line_start: bool,
    /// A line whose end isn't written yet.
    pending: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> Copy<'_, W> {
    /// Copies all complete lines there are; true if the limit is reached.
    async fn all_of(&mut self, reader: &mut BufReader<File>) -> io::Result<bool> {
        loop {
            reader.read_until(b'\n', &mut self.pending).await?;
            if self.pending.last() != Some(&b'\n') {
                return Ok(self.left == 0);
            }
            let line = std::mem::take(&mut self.pending);
            match Line::parse(&line) {
                Some(line) if self.is_wanted(&line) => self.write(&line).await?,
                Some(_) => {}
                None => tracing::debug!("skipped a log line that isn't in CRI's format"),
            }
            if self.left == 0 {
                return Ok(true);
            }
            self.pending = line;
            self.pending.clear();
        }
    }

    fn is_wanted(&self, line: &Line<'_>) -> bool {
        let of_stream = self.options.stream.as_deref().unwrap_or(line.stream) == line.stream;
        let recent = self.options.since.is_none_or(|since| {
            let time = line.time.parse::<Timestamp>();
            time.is_ok_and(|time| time >= since)
        });
        of_stream && recent
    }

    async fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        if self.options.timestamps && self.at_line_start {
            self.put(line.time.as_bytes()).await?;
            self.put(b" ").await?;
        }
        self.put(line.content).await?;
        if !line.partial {
            self.put(b"\n").await?;
        }
        self.at_line_start = !line.partial;
        Ok(())
    }

    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fit = usize::try_from(self.left).map_or(bytes.len(), |left| bytes.len().min(left));
        self.out.write_all(&bytes[..fit]).await?;
        self.left -= fit as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
