//! A dashboard of one user.

use crate::api_server::ApiServer;
use crate::browser::{Running, read};
use http::{Method, StatusCode};
use nix::unistd::geteuid;
use serde_json::Value;
use std::os::unix::process::CommandExt;

async fn own() -> (ApiServer, Running) {
    let api_server = ApiServer::start().await;
    let dashboard = Running::local(&api_server, geteuid().as_raw()).await;
    (api_server, dashboard)
}

#[tokio::test]
async fn it_acts_as_the_user_of_the_kubeconfig() {
    let (api_server, dashboard) = own().await;
    let (code, session) = dashboard.get("/session").await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(session["mode"], "local");
    assert_eq!(session["loginNeeded"], false);
    assert_eq!(session["user"]["username"], "anna");
    assert_eq!(session["cluster"]["name"], "c");
    assert_eq!(session["cluster"]["server"], api_server.url.as_str());
    assert_eq!(session["cluster"]["version"], "v1.33.0");
    let answer = dashboard.ask(Method::POST, "/session", &[], "{}").await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn only_its_page_is_answered() {
    let (_api_server, dashboard) = own().await;
    let code = async |method: Method, path: &str, more: &[(&str, &str)]| {
        dashboard.ask(method, path, more, "").await.status()
    };
    let delete = "/k8s/api/v1/namespaces/default/configmaps/echo";
    assert_eq!(code(Method::DELETE, delete, &[]).await, StatusCode::OK);
    for wrong in [
        ("host", "evil.example"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("x-hardway-dashboard", ""),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(
            code(Method::DELETE, delete, &[wrong]).await,
            StatusCode::FORBIDDEN,
            "{wrong:?}"
        );
    }
    for wrong in [
        ("origin", ""),
        ("origin", "http://evil.example"),
        ("host", "evil"),
    ] {
        let opened = dashboard.open("/live", &[wrong]).await;
        assert_eq!(opened.err(), Some(StatusCode::FORBIDDEN), "{wrong:?}");
    }
}

/// The same connection that works for the user does not for another one.
#[tokio::test]
async fn another_user_is_refused() {
    let api_server = ApiServer::start().await;
    let user = geteuid();
    if !user.is_root() {
        let dashboard = Running::local(&api_server, user.as_raw() + 1).await;
        let (code, said) = dashboard.get("/session").await;
        assert_eq!(code, StatusCode::FORBIDDEN);
        assert_eq!(said["message"], "this dashboard is another user's");
        return;
    }
    let dashboard = Running::local(&api_server, 0).await;
    assert_eq!(dashboard.get("/session").await.0, StatusCode::OK);
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; \
         printf 'GET /session HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nConnection: close\\r\\n\\r\\n' >&3; \
         head -1 <&3",
        port = dashboard.address.port()
    );
    let answer = tokio::task::spawn_blocking(move || {
        let mut bash = std::process::Command::new("bash");
        bash.arg("-c").arg(script).uid(65_534).gid(65_534).output()
    });
    let answer = answer.await.unwrap().unwrap();
    let head = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head:?} {answer:?}");
}

#[tokio::test]
async fn the_page_may_load_nothing_from_elsewhere() {
    let (_api_server, dashboard) = own().await;
    let answer = dashboard.ask(Method::GET, "/", &[], "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let again = dashboard
        .ask(Method::GET, "/", &[("if-none-match", &tag)], "")
        .await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let (code, said) = read(dashboard.ask(Method::GET, "/../Cargo.toml", &[], "").await).await;
    assert_eq!(
        (code, &said["kind"]),
        (StatusCode::NOT_FOUND, &Value::from("Status"))
    );
}
