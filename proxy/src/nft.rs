//! Hands rules to the kernel.

use crate::ruleset::TABLE;
use crate::shape::Shape;
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

    /// The table as the kernel has it, with its elements looked at or not; that
    /// of no table if it is gone.
    fn shape(&self, counted: bool) -> impl Future<Output = Result<Shape, Error>> + Send;
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
        Err(refused(&output.stderr))
    }

    async fn shape(&self, counted: bool) -> Result<Shape, Error> {
        let mut command = Command::new("nft");
        command.arg("--json");
        if !counted {
            command.arg("--terse");
        }
        command.args(["list", "table", "ip", TABLE]);
        let output = command.kill_on_drop(true).output().await?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            if complaint.contains("No such file or directory") {
                return Ok(Shape::default());
            }
            return Err(refused(&output.stderr));
        }
        Shape::of_listing(&output.stdout, counted).map_err(|e| Error::Refused(e.to_string()))
    }
}

fn refused(complaint: &[u8]) -> Error {
    let complaint = String::from_utf8_lossy(complaint);
    let first: Vec<&str> = complaint.lines().take(3).collect();
    Error::Refused(first.join(" "))
}
