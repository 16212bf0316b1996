//! Follows the configuration file: who changes keys need not restart anything.

use super::{Configuration, Encryption};
use crate::metrics;
use hardway_client::notify::Watch;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often the file is looked at in any case: what it is a link to may be in
/// a folder that isn't watched.
const EVERY: Duration = Duration::from_secs(60);

/// Puts changes of the file into effect for ever, and calls `replaced` after
/// each; `digest` is that of the configuration in effect. A file that makes no
/// sense is told of, once, and changes nothing.
pub async fn follow(
    path: &Path,
    digest: Vec<u8>,
    encryption: Arc<Encryption>,
    replaced: impl Fn(),
) {
    metrics::encryption_configuration(&digest);
    let mut seen = Ok(digest);
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let watch = Watch::new(folder.unwrap_or(Path::new(".")));
    loop {
        // Before the first wait, too: it may have changed since it was read.
        let loaded = Configuration::load(path);
        let found = match &loaded {
            Ok(configuration) => Ok(configuration.digest.clone()),
            Err(error) => Err(error.to_string()),
        };
        if found != seen {
            seen = found;
            metrics::encryption_reload(loaded.is_ok());
            match loaded {
                Ok(configuration) => {
                    let digest = configuration.digest.clone();
                    encryption.replace(configuration);
                    metrics::encryption_configuration(&digest);
                    tracing::info!(path = %path.display(), "the encryption configuration has changed");
                    replaced();
                }
                Err(error) => tracing::error!(
                    %error,
                    "the encryption configuration has changed but can't be used; the one before stays in effect"
                ),
            }
        }
        let _ = tokio::time::timeout(EVERY, watch.changed()).await;
    }
}
