//! Logging in and out of the add-on.

use crate::api_server::ApiServer;
use crate::browser::Running;
use http::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn nobody_sees_anything_without_a_token() {
    let api_server = ApiServer::start().await;
    let mut dashboard = Running::add_on(&api_server).await;
    for path in [
        "/k8s/api/v1/pods",
        "/problems",
        "/who-can?verb=get&resource=pods",
    ] {
        assert_eq!(
            dashboard.get(path).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    let opened = dashboard.open("/live", &[]).await;
    assert_eq!(opened.err(), Some(StatusCode::UNAUTHORIZED));
    let (code, session) = dashboard.get("/session").await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(session["loginNeeded"], true);
    assert_eq!(session["user"], json!(null));
    assert_eq!(session["mode"], "serve");
    for token in ["unknown", "", "two words", "line\nbreak"] {
        assert_eq!(
            dashboard.log_in(token).await,
            StatusCode::UNAUTHORIZED,
            "{token:?}"
        );
    }
    let own = [("cookie", "__Host-hardway-dashboard=guessed")];
    let answer = dashboard
        .ask(Method::GET, "/k8s/api/v1/pods", &own, "")
        .await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_is_its_viewers() {
    let api_server = ApiServer::start().await;
    let mut dashboard = Running::add_on(&api_server).await;
    assert_eq!(dashboard.log_in("anna-token").await, StatusCode::OK);
    let anna = dashboard.with_cookie(None);
    assert_eq!(dashboard.log_in("berta-token").await, StatusCode::OK);
    let path = "/k8s/api/v1/namespaces/default/configmaps/echo";
    let (_, said) = dashboard.get(path).await;
    assert_eq!(said["headers"]["authorization"], "Bearer berta-token");
    let berta = dashboard.with_cookie(anna);
    let (_, said) = dashboard.get(path).await;
    assert_eq!(said["headers"]["authorization"], "Bearer anna-token");
    assert_eq!(
        dashboard.get("/session").await.1["user"]["username"],
        "anna"
    );

    // A live page ends with its session, and others' stay.
    let mut live = dashboard.open("/live", &[]).await.unwrap();
    let answer = dashboard.ask(Method::DELETE, "/session", &[], "").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(live.hear().await.is_none_or(|message| message.is_close()));
    assert_eq!(dashboard.get(path).await.0, StatusCode::UNAUTHORIZED);
    dashboard.with_cookie(berta);
    assert_eq!(dashboard.get(path).await.0, StatusCode::OK);
}

#[tokio::test]
async fn another_sites_page_can_use_no_session() {
    let api_server = ApiServer::start().await;
    let mut dashboard = Running::add_on(&api_server).await;
    assert_eq!(dashboard.log_in("anna-token").await, StatusCode::OK);
    let path = "/k8s/api/v1/namespaces/default/configmaps/echo";
    for wrong in [
        ("origin", "https://evil.example"),
        ("x-hardway-dashboard", ""),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = dashboard.ask(Method::DELETE, path, &[wrong], "").await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{wrong:?}");
    }
    let opened = dashboard
        .open("/live", &[("origin", "https://evil.example")])
        .await;
    assert_eq!(opened.err(), Some(StatusCode::FORBIDDEN));
    let answer = dashboard
        .ask(
            Method::POST,
            "/session",
            &[("x-hardway-dashboard", "")],
            "{}",
        )
        .await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}
