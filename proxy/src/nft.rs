//! Hands rules to the kernel.

use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why rules were not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tool can't be run.
    #[error("cannot run nft: {0}; is the package nftables installed?")]
    Run(#[from] std::io::Error),
    /// The kernel or the tool refused; nothing was changed.
    #[error("nft refused the rules: {0}")]
    Refused(String),
}

/// Applies a text of nft commands as one transaction.
pub trait Nft: Send + Sync + 'static {
    /// All of it, or nothing.
    fn apply(&self, commands: &str) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The real thing, through the `nft` program.
pub struct NftTool;

impl Nft for NftTool {
    async fn apply(&self, commands: &str) -> Result<(), Error> {
        let mut child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A tool that gave up early says why on its standard error.
            let _ = stdin.write_all(commands.as_bytes()).await;
        }
        let output = child.wait_with_output().await?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let first: Vec<&str> = complaint.lines().take(3).collect();
        Err(Error::Refused(first.join(" ")))
    }
}
