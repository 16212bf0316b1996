use super::*;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::oneshot;

const LOG: &str = "\
2026-01-01T00:00:01.000000001Z stdout F one
2026-01-01T00:00:02Z stderr P tw
2026-01-01T00:00:02Z stderr F o
2026-01-01T00:00:03Z stdout F three
";

struct Log {
    dir: tempfile::TempDir,
    path: PathBuf,
}

fn log(text: &str) -> Log {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.log");
    std::fs::write(&path, text).unwrap();
    Log { dir, path }
}

async fn get(text: &str, options: Options) -> String {
    let log = log(text);
    let mut out = Vec::new();
    read(
        log.dir.path(),
        &log.path,
        &options,
        std::future::pending(),
        &mut out,
    )
    .await
    .unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn content_without_its_frame() {
    assert_eq!(get(LOG, Options::default()).await, "one\ntwo\nthree\n");
    let broken = format!("garbage\n{LOG}2026-01-01T00:00:04Z stdout F unfinished");
    assert_eq!(get(&broken, Options::default()).await, "one\ntwo\nthree\n");
}

#[tokio::test]
async fn links_are_not_followed() {
    let log = log(LOG);
    let link = log.path.with_file_name("1.log");
    std::os::unix::fs::symlink(&log.path, &link).unwrap();
    let mut out = Vec::new();
    let options = Options::default();
    let root = log.dir.path();
    let outcome = read(root, &link, &options, std::future::pending(), &mut out).await;
    assert!(outcome.is_err() && out.is_empty());
}

#[tokio::test]
async fn options_as_kubectl_has_them() {
    let since = Some("2026-01-01T00:00:02Z".parse().unwrap());
    let recent = Options {
        since,
        ..Default::default()
    };
    assert_eq!(get(LOG, recent).await, "two\nthree\n");
    let timestamps = Options {
        timestamps: true,
        ..Default::default()
    };
    assert_eq!(
        get(LOG, timestamps).await,
        "2026-01-01T00:00:01.000000001Z one\n2026-01-01T00:00:02Z two\n2026-01-01T00:00:03Z three\n"
    );
    for (tail, expected) in [(0, ""), (1, "three\n"), (9, "one\ntwo\nthree\n")] {
        let options = Options {
            tail: Some(tail),
            ..Default::default()
        };
        assert_eq!(get(LOG, options).await, expected, "{tail}");
    }
    let limited = Options {
        limit_bytes: Some(6),
        ..Default::default()
    };
    assert_eq!(get(LOG, limited).await, "one\ntw");
    let stream = Some("stderr".to_owned());
    assert_eq!(
        get(
            LOG,
            Options {
                stream,
                ..Default::default()
            }
        )
        .await,
        "two\n"
    );
}

#[tokio::test]
async fn tails_of_long_logs() {
    let line = |n: usize| format!("2026-01-01T00:00:00Z stdout F line {n}\n");
    let text: String = (0..1000).map(line).collect();
    let options = Options {
        tail: Some(500),
        ..Default::default()
    };
    let got = get(&text, options).await;
    assert!(got.starts_with("line 500\n") && got.ends_with("line 999\n"));
    assert_eq!(got.lines().count(), 500);
}

async fn expect(stream: &mut DuplexStream, text: &str) {
    let mut got = vec![0; text.len()];
    let reading = stream.read_exact(&mut got);
    let done = tokio::time::timeout(Duration::from_secs(60), reading).await;
    done.expect("in time").unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), text);
}

#[tokio::test]
async fn following_goes_across_rotation_until_the_container_ends() {
    let log = log("2026-01-01T00:00:01Z stdout F one\n");
    let (mut out, mut reader) = tokio::io::duplex(1 << 16);
    let (end, ended) = oneshot::channel::<()>();
    let (root, path) = (log.dir.path().to_owned(), log.path.clone());
    let task = tokio::spawn(async move {
        let options = Options {
            follow: true,
            ..Default::default()
        };
        let ended = async { drop(ended.await) };
        read(&root, &path, &options, ended, &mut out).await
    });
    expect(&mut reader, "one\n").await;
    let append = |text: &str| {
        let mut file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(&log.path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("2026-01-01T00:00:02Z stdout F two\n2026-01-01T00:00:03Z std");
    expect(&mut reader, "two\n").await;
    append("out F three\n");
    expect(&mut reader, "three\n").await;
    std::fs::rename(&log.path, log.path.with_extension("log.1")).unwrap();
    append("2026-01-01T00:00:04Z stdout F four\n");
    expect(&mut reader, "four\n").await;
    append("2026-01-01T00:00:05Z stdout F last\n");
    end.send(()).unwrap();
    task.await.unwrap().unwrap();
    expect(&mut reader, "last\n").await;
    assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
}
