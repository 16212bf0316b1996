//! Opening the viewer's browser.

use std::process::Stdio;
use tokio::process::Command;

/// Opens a URL as the desktop does. Where that can't be done, the URL that was printed is left.
pub fn open(url: &str) {
    let opener = Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match opener {
        Ok(mut opener) => {
            tokio::spawn(async move {
                let _ = opener.wait().await;
            });
        }
        Err(error) => {
            eprintln!("cannot open a browser (xdg-open: {error}): open the address above")
        }
    }
}
