//! Running other programs and small file helpers.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, OrFail, Result};

/// Runs a program to its end and returns what it printed.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    run_with_input(program, arguments, "")
}

/// The same for a program that reads all of its input before it prints much.
pub fn run_with_input(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let what = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .or_fail(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why by itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().or_fail(what)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let why = if said.is_empty() {
        output.status.to_string()
    } else {
        said.to_owned()
    };
    Err(Failure::new(what(), why))
}

/// Whether a program runs and succeeds; what it prints is dropped.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    run(program, arguments).is_ok()
}

/// Finds a program in PATH or in the administrator's folders, which a plain
/// user's PATH lacks on Debian.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Writes a file as a whole (readers see the old or the new one); does nothing when it
/// already holds exactly this. A new file has the given mode; one that was there keeps
/// its owner, and what its group may do: a service reads the key that follows its own.
pub fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    write_files(&[(path, content, mode)])
}

/// The same for files that belong together: none is replaced before all are written.
pub fn write_files(files: &[(&Path, &[u8], u32)]) -> Result<()> {
    let mut written = Vec::new();
    for (path, content, mode) in files {
        if !fs::read(path).is_ok_and(|old| old == *content) {
            written.push((write_beside(path, content, *mode)?, path));
        }
    }
    for (new, path) in written {
        fs::rename(&new, path).or_fail(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Writes what is to take a file's place, and gives its path.
fn write_beside(path: &Path, content: &[u8], mode: u32) -> Result<PathBuf> {
    let old = fs::metadata(path).ok();
    make_directory(path.parent().unwrap_or(Path::new("/")))?;
    let what = || format!("write {}", path.display());
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // A left-over of an interrupted run may have another mode.
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)
        .or_fail(what)?;
    if let Some(old) = old {
        fchown(&file, Some(old.uid()), Some(old.gid())).or_fail(what)?;
        let mode = mode | old.mode() & 0o070;
        file.set_permissions(fs::Permissions::from_mode(mode))
            .or_fail(what)?;
    }
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .or_fail(what)?;
    Ok(new)
}

/// Creates a directory and its parents.
pub fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).or_fail(|| format!("create directory {}", path.display()))
}

/// Removes a file, a link, or a folder with all that is in it; says whether it was there.
pub fn remove(path: &Path) -> Result<bool> {
    let what = || format!("remove {}", path.display());
    let done = match path.is_dir() && !path.is_symlink() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).or_fail(what),
    }
}

/// Reads a text file.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).or_fail(|| format!("read {}", path.display()))
}

/// The last `count` lines of a file; empty when it cannot be read.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

/// Writes a program that a test then runs, by another process: a file that is open for writing
/// anywhere can't be run (`ETXTBSY`), and a child that another test starts at that moment holds
/// all that is open in this process until it has become another program.
#[cfg(test)]
pub fn write_program(path: &Path, script: &str) {
    let path = path.display().to_string();
    let write = ["-c", "cat > \"$0\" && chmod 0755 \"$0\"", &path];
    run_with_input("sh", &write, script).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_program_says_what_it_printed() {
        let failure = run("sh", &["-c", "echo no such thing >&2; exit 3"]).unwrap_err();
        assert_eq!(failure.why, "no such thing");
        let failure = run("sh", &["-c", "exit 3"]).unwrap_err();
        assert_eq!(failure.why, "exit status: 3");
    }

    #[test]
    fn files_are_replaced_with_their_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/key");
        write_file(&file, b"one", 0o600).unwrap();
        write_file(&file, b"two\nthree\nfour", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two\nthree\nfour");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        // Another one's key stays another one's.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let owned = std::os::unix::fs::chown(&file, None, Some(4));
        write_file(&file, b"three", 0o600).unwrap();
        let after = fs::metadata(&file).unwrap();
        assert_eq!(after.mode() & 0o777, 0o640);
        assert!(owned.is_err() || after.gid() == 4);
        write_file(&file, b"two\nthree\nfour", 0o600).unwrap();
        assert_eq!(last_lines(&file, 2), ["three", "four"]);
        assert!(last_lines(Path::new("/nonexistent"), 2).is_empty());
    }
}
