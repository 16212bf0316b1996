//! A client that watches all objects, and goes on where it was when it is cut off.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::answers::{self, Line};
use super::chunks::Lines;
use super::{CATCH_UP, Load, asking};
use crate::history::Watch;

/// How long a server may be silent, while others write, before the client goes to another.
const SILENCE: Duration = Duration::from_secs(3);
/// How often it looks whether the load is over.
const LOOK: Duration = Duration::from_millis(200);

/// Watches until all that was written was told, or the load is long over.
pub(super) fn watch(load: &Load, client: usize) {
    let mut server = client;
    // Where it goes on; nothing as long as it has to list first.
    let mut after = None;
    let mut over_since: Option<Instant> = None;
    loop {
        if load.is_over() && over_since.get_or_insert_with(Instant::now).elapsed() > CATCH_UP {
            return;
        }
        let from = match after {
            Some(from) => from,
            None => match asking::list(load, client, server, false) {
                Some(list) => list.revision,
                None => {
                    server += 1;
                    std::thread::sleep(asking::PAUSE);
                    continue;
                }
            },
        };
        let mut watch = Watch {
            client,
            after: from,
            events: Vec::new(),
        };
        let can_go_on = follow(load, server, &mut watch);
        let until = watch.until();
        load.recorder.watch(watch);
        after = can_go_on.then_some(until);
        let end = load.end.load(Ordering::Relaxed);
        if end > 0 && until >= end {
            return;
        }
        if end == u64::MAX {
            return;
        }
        server += 1;
        std::thread::sleep(asking::PAUSE);
    }
}

/// Takes down what one server tells, as long as it does. Says whether another one can go on.
fn follow(load: &Load, server: usize, watch: &mut Watch) -> bool {
    let path = format!(
        "{}?watch=1&allowWatchBookmarks=true&resourceVersion={}",
        load.path(),
        watch.after
    );
    let client = &load.servers[server % load.servers.len()];
    let Ok(mut stream) = client.connect() else {
        return true;
    };
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: kubernetes\r\nAccept: application/json\r\n\r\n");
    if stream.sock.set_read_timeout(Some(LOOK)).is_err()
        || stream.write_all(request.as_bytes()).is_err()
        || stream.flush().is_err()
    {
        return true;
    }
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut heard = Instant::now();
    loop {
        let end = load.end.load(Ordering::Relaxed);
        if end > 0 && (watch.until() >= end || end == u64::MAX) {
            return true;
        }
        let count = match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) => count,
            Err(error) if is_silence(error.kind()) && heard.elapsed() < SILENCE => continue,
            Err(_) => return true,
        };
        heard = Instant::now();
        for line in lines.push(&buffer[..count]) {
            match answers::line(&line, load.now()) {
                Line::Event(event) => watch.events.push(event),
                Line::Other => {}
                Line::End => return false,
            }
        }
        if lines.status.is_some_and(|status| status != 200) {
            // It may be too old for this server, or for all: a list tells.
            return lines.status != Some(410);
        }
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    [
        ErrorKind::WouldBlock,
        ErrorKind::TimedOut,
        ErrorKind::Interrupted,
    ]
    .contains(&kind)
}
