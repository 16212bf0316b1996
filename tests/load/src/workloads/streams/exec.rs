//! Commands in a pod: how long one takes, how long a line takes to it and back, and how many
//! bytes go through it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::{command, pattern};
use crate::api::{ApiError, Channel, Incoming, Outgoing};
use crate::failure::{Failure, OrFail};
use crate::measure::Measuring;
use crate::report::Measurement;
use crate::workload::Context;

/// Commands that are run one after the other.
const COMMANDS: u64 = 20;
/// Lines that are sent one after the other.
const LINES: u64 = 200;
/// Bytes of a piece: what kubectl sends at a time (io.Copy).
const PIECE: usize = 32 << 10;
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let running = context.begin("exec, run true", COMMANDS);
    for _ in 0..COMMANDS {
        let began = Instant::now();
        let ended = run_true(context).await;
        running.took(began.elapsed(), ended);
    }
    let ran = running.finish();

    let sending = context.begin("exec, a line and back", LINES);
    let cat = command(context, &["cat"]);
    let opened = context.api(0).exec(&cat).await;
    let (mut outgoing, mut incoming) = opened.or_fail(|| format!("open {cat}"))?;
    for number in 0..LINES {
        let line = format!("line {number}\n");
        let began = Instant::now();
        let returned = line_and_back(&mut outgoing, &mut incoming, &line).await;
        if sending.took(began.elapsed(), returned).is_none() {
            break;
        }
    }
    let sent = sending.finish();
    drop((outgoing, incoming));

    let megabytes = context.sizes.stream_megabytes.get();
    let through = context.begin(format!("exec, {megabytes} MB and back"), 1);
    let began = Instant::now();
    let passed = pass(context, u64::from(megabytes) * 1_000_000, &through).await;
    through.took(began.elapsed(), passed);
    Ok(vec![ran, sent, through.finish()])
}

/// Runs a command that does nothing, until it is known how it ended.
async fn run_true(context: &Context) -> Result<(), ApiError> {
    let path = command(context, &["true"]);
    let (_outgoing, mut incoming) = context.api(0).exec(&path).await?;
    loop {
        if let (Channel::Status, status) = next(&mut incoming).await? {
            return ended(&status);
        }
    }
}

fn ended(status: &[u8]) -> Result<(), ApiError> {
    let said: Value = serde_json::from_slice(status).unwrap_or_default();
    match said["status"] == "Success" {
        true => Ok(()),
        false => Err(ApiError::Unreadable {
            why: format!("the command ended with {}", String::from_utf8_lossy(status)),
        }),
    }
}

async fn line_and_back(
    outgoing: &mut Outgoing,
    incoming: &mut Incoming,
    line: &str,
) -> Result<(), ApiError> {
    outgoing.send(line.as_bytes()).await?;
    let mut came = Vec::new();
    while came.len() < line.len() {
        came.extend_from_slice(&output(incoming).await?);
    }
    match came == line.as_bytes() {
        true => Ok(()),
        false => Err(ApiError::Unreadable {
            why: format!("{line:?} came back as {:?}", String::from_utf8_lossy(&came)),
        }),
    }
}

/// The next bytes that the command writes.
async fn output(incoming: &mut Incoming) -> Result<Bytes, ApiError> {
    match next(incoming).await? {
        (Channel::Stdout, bytes) => Ok(bytes),
        (_, said) => Err(ApiError::Unreadable {
            why: format!("in place of output: {}", String::from_utf8_lossy(&said)),
        }),
    }
}

/// What comes next, of whichever stream.
async fn next(incoming: &mut Incoming) -> Result<(Channel, Bytes), ApiError> {
    let broken = |why: String| ApiError::Broken {
        call: "the command's streams".to_owned(),
        why,
    };
    let came = tokio::time::timeout(PATIENCE, incoming.next()).await;
    let late = |_| broken(format!("nothing for {} s", PATIENCE.as_secs()));
    let came = came.map_err(late)?;
    came.unwrap_or_else(|| Err(broken("they have ended".to_owned())))
}

/// Sends bytes to `cat` and takes them back at the same time.
async fn pass(context: &Context, total: u64, measuring: &Measuring) -> Result<(), ApiError> {
    let path = command(context, &["cat"]);
    let (mut outgoing, mut incoming) = context.api(0).exec(&path).await?;
    let send = async {
        let mut piece = vec![0; PIECE];
        let mut sent = 0;
        while sent < total {
            let length = (total - sent).min(PIECE as u64) as usize;
            pattern::fill(sent, &mut piece[..length]);
            outgoing.send(&piece[..length]).await?;
            sent += length as u64;
        }
        outgoing.end().await
    };
    let take = async {
        let mut came = 0;
        while came < total {
            let bytes = output(&mut incoming).await?;
            measuring.received(bytes.len());
            if let Some(place) = pattern::difference(came, &bytes) {
                let why = format!("the byte {place} came back as another one");
                return Err(ApiError::Unreadable { why });
            }
            came += bytes.len() as u64;
        }
        Ok::<(), ApiError>(())
    };
    // What is wrong with one of them ends both.
    tokio::try_join!(send, take).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_success() {
        assert!(ended(br#"{"metadata":{},"status":"Success"}"#).is_ok());
        let failed = br#"{"status":"Failure","reason":"NonZeroExitCode"}"#;
        let error = ended(failed).unwrap_err().to_string();
        assert!(error.contains("NonZeroExitCode"), "{error}");
        assert!(ended(b"").is_err());
    }
}
