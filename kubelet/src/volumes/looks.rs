//! Looks at file systems whose server may be gone. Who asks one may wait for ever, and nobody can
//! end that: so it is done beside everything else, and not again and again.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// How long a file system may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many looks have got no answer yet, though it was time, by path. Each has a thread of its
/// own: while there is one, there is no other.
static LATE: LazyLock<Mutex<HashMap<PathBuf, usize>>> = LazyLock::new(Mutex::default);

/// One of them, until it is dropped.
struct Late(PathBuf);

impl Late {
    fn new(path: &Path) -> Self {
        *LATE.lock().entry(path.to_owned()).or_default() += 1;
        Self(path.to_owned())
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let mut all = LATE.lock();
        if let Some(count) = all.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.0);
            }
        }
    }
}

/// Does what may wait for the file system that a path is on.
///
/// # Errors
/// If there is no answer.
pub(super) async fn look<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, String> {
    look_for(PATIENCE, path, work).await
}

async fn look_for<T: Send + 'static>(
    patience: Duration,
    path: &Path,
    work: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, String> {
    let silent = format!("{}: the file system doesn't answer", path.display());
    if LATE.lock().contains_key(path) {
        return Err(silent);
    }
    let at = path.to_owned();
    let mut work = tokio::task::spawn_blocking(move || work(&at));
    if let Ok(done) = tokio::time::timeout(patience, &mut work).await {
        return done.map_err(|e| e.to_string());
    }
    let late = Late::new(path);
    tokio::spawn(async move {
        let _ = work.await;
        drop(late);
    });
    Err(silent)
}

/// Whether there is something.
///
/// # Errors
/// If there is no answer.
pub(super) async fn exists(path: &Path) -> Result<bool, String> {
    look(path, Path::exists).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn who_gets_no_answer_does_not_ask_for_ever() {
        let path = Path::new("/a/server/that/is/gone");
        let soon = Duration::from_millis(1);
        let (gate, closed) = mpsc::channel::<()>();
        let asked = look_for(soon, path, move |_| closed.recv().is_ok()).await;
        assert!(asked.unwrap_err().ends_with("doesn't answer"));
        let asked: Result<(), _> = look(path, |_| panic!("a thread more waits for it")).await;
        assert!(asked.unwrap_err().ends_with("doesn't answer"));
        assert_eq!(exists(Path::new("/")).await, Ok(true));
        // It is back.
        drop(gate);
        let back = async {
            while exists(path).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), back).await;
        assert!(waited.is_ok());
    }
}
