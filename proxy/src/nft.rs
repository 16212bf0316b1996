//! Hands rules to the kernel, and asks what it has.

use crate::netlink::batch::Batch;
use crate::netlink::listing;
use crate::netlink::socket::Socket;
use crate::ruleset::TABLE;
use crate::shape::Shape;
use parking_lot::Mutex;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why rules were not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tool can't be run.
    #[error("cannot run nft: {0}; is the package nftables installed?")]
    Run(#[from] io::Error),
    /// The kernel or the tool refused; nothing was changed.
    #[error("nft refused the rules: {0}")]
    Refused(String),
    /// Nothing can be said to the kernel, or it can't be understood.
    #[error("cannot ask the kernel for its rules over netlink: {0}")]
    Netlink(#[source] io::Error),
    /// The kernel refused a change; nothing was changed.
    #[error("the kernel refused a change of the rules: {0}")]
    Change(String),
}

/// The kernel's rules.
pub trait Nft: Send + Sync + 'static {
    /// Applies a text of nft commands as one transaction: all of it, or nothing.
    fn load(&self, commands: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Applies a batch as one transaction: all of it, or nothing.
    fn send(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send;

    /// The table as the kernel has it, with its elements looked at or not; that
    /// of no table if it is gone.
    fn shape(&self, counted: bool) -> impl Future<Output = Result<Shape, Error>> + Send;

    /// The number of the kernel's last transaction, whoever made it. Each has
    /// the one after that of the last.
    fn generation(&self) -> Result<u32, Error>;
}

/// The real thing: what is large goes through the program `nft`, what is small
/// over netlink, since most of what a small change costs is the program's start.
/// It is of the network namespace that it is first used in.
#[derive(Clone, Default)]
pub struct Kernel {
    /// Kept open: who closes one waits until the kernel has cleared away what
    /// the last transaction removed, 10 ms or more.
    socket: Arc<Mutex<Option<Socket>>>,
}

impl Nft for Kernel {
    async fn load(&self, commands: &str) -> Result<(), Error> {
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

    async fn send(&self, batch: Batch) -> Result<(), Error> {
        let outcome = self.aside(move |socket| socket.transact(&batch)).await?;
        outcome.map_err(Error::Change)
    }

    async fn shape(&self, counted: bool) -> Result<Shape, Error> {
        if !counted {
            let rules = self.aside(listing::rules).await?;
            let elements = None;
            return Ok(Shape { rules, elements });
        }
        let output = Command::new("nft")
            .args(["--json", "list", "table", "ip", TABLE])
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            if complaint.contains("No such file or directory") {
                return Ok(Shape::default());
            }
            return Err(refused(&output.stderr));
        }
        Shape::of_listing(&output.stdout).map_err(|e| Error::Refused(e.to_string()))
    }

    fn generation(&self) -> Result<u32, Error> {
        self.ask(Socket::generation).map_err(Error::Netlink)
    }
}

impl Kernel {
    fn ask<T>(&self, question: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        let mut kept = self.socket.lock();
        let socket = match kept.take() {
            Some(socket) => socket,
            None => Socket::open()?,
        };
        // After an error it isn't kept: the next one must not read its answers.
        let answer = question(&socket)?;
        *kept = Some(socket);
        Ok(answer)
    }

    /// Asks on a thread of its own: whoever else changes rules is waited for
    /// within the call.
    async fn aside<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Socket) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let kernel = self.clone();
        let answer = tokio::task::spawn_blocking(move || kernel.ask(question)).await;
        answer
            .map_err(io::Error::other)
            .flatten()
            .map_err(Error::Netlink)
    }
}

fn refused(complaint: &[u8]) -> Error {
    let complaint = String::from_utf8_lossy(complaint);
    let first: Vec<&str> = complaint.lines().take(3).collect();
    Error::Refused(first.join(" "))
}
