//! Hearing of changes of a file that a flag names.

use hardway_client::notify::Watch;
use std::path::Path;
use std::time::Duration;

/// How often the file is looked at in any case: what it is a link to may be in
/// a folder that isn't watched.
const LOOK: Duration = Duration::from_secs(60);

/// Calls `changed` whenever the file's content is another one than before, for ever. While there is
/// none it has not changed.
pub async fn follow(file: &Path, changed: impl Fn()) {
    let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let watch = Watch::new(folder.unwrap_or(Path::new(".")));
    let mut seen = std::fs::read(file).ok();
    loop {
        let _ = tokio::time::timeout(LOOK, watch.changed()).await;
        let now = std::fs::read(file).ok();
        if now.is_some() && now != seen {
            seen = now;
            changed();
        }
    }
}
