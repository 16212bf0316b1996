//! Logs of pods: how many bytes a second they are read with.

use std::time::Instant;

use crate::api::{ApiError, Call};
use crate::failure::Failure;
use crate::measure::Measuring;
use crate::report::Measurement;
use crate::workload::Context;
use crate::workloads::node_pods::{self, Lives};

/// The pod that has written its log and ended.
const WRITER: &str = "writer";
/// Its lines. All together are less than a kubelet lets a log's file grow by default, which is
/// 10 MiB (`containerLogMaxSize`): of what was put aside nothing would be read.
const LINES: usize = 20_000;
/// Characters of a line.
const WIDTH: usize = 199;
/// How often it is read.
const READS: u64 = 5;

pub(super) async fn measure(context: &Context, lives: &Lives) -> Result<Vec<Measurement>, Failure> {
    let line = "x".repeat(WIDTH);
    let script = format!("yes {line} | head -n {LINES}");
    let pod = node_pods::pod(context, WRITER, &["sh", "-c", &script]);
    node_pods::run(context, lives, &pod).await?;
    let megabytes = LINES * (WIDTH + 1) / 1_000_000;
    let reading = context.begin(format!("log, read {megabytes} MB"), READS);
    for _ in 0..READS {
        let began = Instant::now();
        let read = read(context, line.as_bytes(), &reading).await;
        if let Some(lines) = reading.took(began.elapsed(), read)
            && lines != LINES
        {
            reading.violation(format!("{lines} of {LINES} lines are as they were written"));
        }
    }
    Ok(vec![reading.finish()])
}

/// Reads the log; how many lines are as they should be.
async fn read(context: &Context, line: &[u8], measuring: &Measuring) -> Result<usize, ApiError> {
    let call = Call::get(format!("{}/{WRITER}/log", context.core("pods"))).accept("*/*");
    let mut lines = context.api(0).watch(&call).await?;
    let mut right = 0;
    while let Some(came) = lines.next().await {
        let came = came?;
        measuring.received(came.len() + 1);
        right += usize::from(came == line);
    }
    Ok(right)
}
