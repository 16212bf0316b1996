//! The Kubernetes API, passed through.

use crate::api_server::ApiServer;
use crate::browser::{PATIENCE, Running, read, until};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use nix::unistd::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ECHO: &str = "/k8s/api/v1/namespaces/default/configmaps/echo";

async fn own() -> (ApiServer, Running) {
    let api_server = ApiServer::start().await;
    let dashboard = Running::local(&api_server, geteuid().as_raw()).await;
    (api_server, dashboard)
}

#[tokio::test]
async fn the_viewers_credentials_replace_what_the_page_sent() {
    let (_api_server, dashboard) = own().await;
    let sent = [
        ("authorization", "Bearer stolen"),
        ("impersonate-user", "system:admin"),
        ("x-remote-user", "admin"),
        ("cookie", "a=b"),
        ("content-type", "application/merge-patch+json"),
        ("if-match", "\"1\""),
    ];
    let path = format!("{ECHO}?dryRun=All&fieldManager=a%20b");
    let answer = dashboard
        .ask(Method::PATCH, &path, &sent, "{\"a\":1}")
        .await;
    let headers = answer.headers().clone();
    let (code, said) = read(answer).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(said["method"], "PATCH");
    assert_eq!(said["length"], 7);
    let uri = said["uri"].as_str().unwrap();
    assert!(
        uri.ends_with("/configmaps/echo?dryRun=All&fieldManager=a%20b"),
        "{uri}"
    );
    let got = said["headers"].as_object().unwrap();
    assert_eq!(got["authorization"], "Bearer anna-token");
    assert_eq!(got["content-type"], "application/merge-patch+json");
    assert_eq!(got["if-match"], "\"1\"");
    for name in [
        "impersonate-user",
        "x-remote-user",
        "cookie",
        "origin",
        "x-hardway-dashboard",
    ] {
        assert!(!got.contains_key(name), "{name}: {said}");
    }
    assert_eq!(headers["warning"], "299 - \"old\"");
    assert!(!headers.contains_key("set-cookie"));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("sandbox") && !policy.contains('*'),
        "{policy}"
    );
}

#[tokio::test]
async fn bodies_and_paths_have_bounds() {
    let (_api_server, dashboard) = own().await;
    let long = vec![b' '; (3 << 20) + 1];
    let answer = dashboard.ask(Method::PUT, ECHO, &[], long).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    for (path, code) in [
        ("/k8s/api/../metrics", 400),
        ("/k8s/api/v1/%2e%2e/x", 400),
        ("/k8s/metrics", 403),
        ("/k8s/api/v1/nodes/n/proxy/", 403),
        ("/k8s/api/v1/nothing", 404),
    ] {
        assert_eq!(dashboard.get(path).await.0.as_u16(), code, "{path}");
    }
}

#[tokio::test]
async fn answers_stream() {
    let (api_server, dashboard) = own().await;
    let path = "/k8s/api/v1/namespaces/default/pods/web/log?follow=true";
    let mut answer = dashboard.ask(Method::GET, path, &[], "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    until("the log is followed", || api_server.cluster.log("one\n")).await;
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "one\n");
    assert!(api_server.cluster.log("two\n"));
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "two\n");
    // Who goes away is not read for.
    drop(answer);
    until("nobody follows the log", || {
        !api_server.cluster.log("three\n")
    })
    .await;
}

#[tokio::test]
async fn websockets_become_tunnels() {
    let (_api_server, dashboard) = own().await;
    let path = "/k8s/api/v1/namespaces/default/pods/web/exec?command=sh";
    let protocols = "base64url.bearer.authorization.k8s.io.c3RvbGVu, v5.channel.k8s.io";
    let opened = dashboard
        .open(path, &[("sec-websocket-protocol", protocols)])
        .await;
    let mut socket = opened.unwrap();
    // Whatever bytes go in, come back from the fake.
    let stream = socket.0.get_mut();
    let sent = b"neither frames nor text: \x00\xff\x01";
    stream.write_all(sent).await.unwrap();
    let mut back = vec![0; sent.len()];
    let read = stream.read_exact(&mut back);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(back, sent);
    // What refuses to upgrade is answered as it is.
    let refused = dashboard.open(ECHO, &[]).await;
    assert_eq!(refused.err(), Some(StatusCode::OK));
    let other = dashboard.open(path, &[("upgrade", "SPDY/3.1")]).await;
    assert_eq!(other.err(), Some(StatusCode::BAD_REQUEST));
}

#[tokio::test]
async fn an_api_server_that_is_gone_is_told_of() {
    let (api_server, dashboard) = own().await;
    drop(api_server);
    let (code, said) = dashboard.get("/k8s/api/v1/pods").await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    let message = said["message"].as_str().unwrap();
    assert!(
        message.starts_with("the API server does not answer: "),
        "{message}"
    );
}
