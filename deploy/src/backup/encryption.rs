//! Backups that only some can read: encrypted by the program `age` (Debian has it), to public
//! keys, so that the host that takes backups can't read them. Nothing here does any cryptography.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// With this a file begins that `age` has encrypted.
const ENCRYPTED: &[u8] = b"age-encryption.org/v1";
/// With this one that is compressed (RFC 1952).
const COMPRESSED: &[u8] = &[0x1f, 0x8b];

/// Where a backup is written to.
#[derive(Debug)]
pub enum Sink {
    /// As it is.
    Plain(File),
    /// Through `age`.
    Encrypted(Child),
}

impl Sink {
    /// Into a file; encrypted if there is anybody to read it.
    ///
    /// # Errors
    /// If `age` isn't there, or doesn't know such recipients.
    pub fn to(file: File, recipients: &[String]) -> Result<Self> {
        if recipients.is_empty() {
            return Ok(Self::Plain(file));
        }
        let encrypt = |from: Stdio, to: Stdio| {
            let mut command = age()?;
            command.arg("--encrypt");
            for recipient in recipients {
                command.args(["--recipient", recipient]);
            }
            let child = command.stdin(from).stdout(to).stderr(Stdio::piped());
            child.spawn().or_fail(|| "run age")
        };
        // Of nothing first: who reads what is sent, and fails, would only be seen to be gone.
        end(encrypt(Stdio::null(), Stdio::null())?, "encrypt the backup")?;
        encrypt(Stdio::piped(), file.into()).map(Self::Encrypted)
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// With what `age` says.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Encrypted(child) => end(child, "encrypt the backup"),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Encrypted(child) => child.stdin.as_mut().map_or(Ok(0), |to| to.write(bytes)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Encrypted(child) => child.stdin.as_mut().map_or(Ok(()), Write::flush),
        }
    }
}

/// Where a backup is read from.
#[derive(Debug)]
pub enum Source {
    /// As it is.
    Plain(File),
    /// Through `age`.
    Encrypted(Child),
}

impl Source {
    /// Opens one; who has a key of a recipient's names its file.
    ///
    /// # Errors
    /// If it is none, or encrypted and there is no key.
    pub fn open(path: &Path, identity: Option<&Path>) -> Result<Self> {
        let what = || format!("read {}", path.display());
        let mut file = File::open(path).or_fail(what)?;
        let mut begin = Vec::new();
        let length = ENCRYPTED.len() as u64;
        (&file).take(length).read_to_end(&mut begin).or_fail(what)?;
        file.seek(SeekFrom::Start(0)).or_fail(what)?;
        if begin.starts_with(COMPRESSED) {
            return Ok(Self::Plain(file));
        }
        if begin != ENCRYPTED {
            return Err(Failure::new(what(), "it is no backup of hardway's"));
        }
        let identity = identity.ok_or_else(|| {
            Failure::new(what(), "it is encrypted")
                .way_out("name the file with the key:  --identity FILE")
        })?;
        let child = age()?
            .args(["--decrypt", "--identity"])
            .arg(identity)
            .stdin(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        child.or_fail(|| "run age").map(Self::Encrypted)
    }

    /// Waits until `age` has ended.
    ///
    /// # Errors
    /// With what it says: the key is another one's, or the file was changed.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Encrypted(mut child) => {
                // What is not wanted any more is read, lest it is taken for a failure of age's.
                if let Some(mut from) = child.stdout.take() {
                    let _ = io::copy(&mut from, &mut io::sink());
                }
                end(child, "decrypt the backup")
            }
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Encrypted(child) => child
                .stdout
                .as_mut()
                .map_or(Ok(0), |from| from.read(buffer)),
        }
    }
}

fn age() -> Result<Command> {
    let program = shell::find_program("age").ok_or_else(|| {
        Failure::new("run age", "it is not installed")
            .way_out("apt-get install age; or leave --recipient out, and keep the backup where nobody else can read it")
    })?;
    Ok(Command::new(program))
}

/// Waits for a program whose input ends here.
fn end(mut child: Child, what: &str) -> Result<()> {
    drop(child.stdin.take());
    let output = child.wait_with_output().or_fail(|| what)?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            // What follows says where to report faults of age's.
            let why = said.trim().lines().next().unwrap_or_default();
            Err(Failure::new(what, why).way_out("see  age --help"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_backup_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            Source::open(&path, None).map(drop).map_err(|it| it.why)
        };
        assert_eq!(open("plain", &[0x1f, 0x8b, 8]), Ok(()));
        let no_backup = Err("it is no backup of hardway's".to_owned());
        assert_eq!(open("text", b"hello"), no_backup);
        assert_eq!(open("empty", b""), no_backup);
        let secret = b"age-encryption.org/v1\n-> X25519 abc";
        assert_eq!(open("secret", secret), Err("it is encrypted".to_owned()));
    }
}
