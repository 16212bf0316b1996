//! What calls become, and what answers of Kubernetes become. The answers are those of
//! kube-apiserver 1.20.

use super::*;
use hardway_proto::api::api_server::Api;
use hardway_proto::api::{DeleteRequest, EventType, GetRequest, ListRequest, WatchRequest};
use http::StatusCode;
use http_body_util::Full;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tonic::Request;

/// Gives the answers that were recorded, and records what it was asked.
#[derive(Default)]
struct Recorded {
    answers: Mutex<VecDeque<(u16, String)>>,
    asked: Mutex<Vec<String>>,
}

impl Http for Recorded {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, Status>> {
        let (head, _) = request.into_parts();
        let kind = head.headers.get(header::CONTENT_TYPE);
        let kind = kind.map_or(String::new(), |k| format!(" {}", k.to_str().unwrap()));
        self.asked
            .lock()
            .push(format!("{} {}{kind}", head.method, head.uri));
        let next = self.answers.lock().pop_front();
        Box::pin(async move {
            let (code, text) = next.ok_or_else(|| Status::unavailable("nothing is recorded"))?;
            let mut answer = http::Response::new(Body::new(Full::from(text)));
            *answer.status_mut() = StatusCode::from_u16(code).unwrap();
            Ok(answer)
        })
    }
}

fn recorded(answers: &[(u16, &str)]) -> (Arc<Recorded>, Translator) {
    let answers = answers
        .iter()
        .map(|(code, text)| (*code, (*text).to_owned()));
    let recorded = Arc::new(Recorded {
        answers: Mutex::new(answers.collect()),
        asked: Mutex::default(),
    });
    (recorded.clone(), Translator::new(recorded))
}

fn of(group: &str, resource: &str, name: &str) -> Option<Target> {
    Some(Target {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        namespace: "default".into(),
        name: name.into(),
        ..Target::default()
    })
}

fn status<T>(outcome: Outcome<T>) -> Status {
    outcome.err().expect("it is refused").into()
}

const FIRST: &str = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"90","continue":"abc","remainingItemCount":1},"items":[{"metadata":{"name":"a","namespace":"default","resourceVersion":"5"}}]}"#;
const SECOND: &str = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"90"},"items":[{"metadata":{"name":"b","namespace":"default","resourceVersion":"6"}}]}"#;
const EXPIRED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{"continue":"xyz"},"status":"Failure","message":"The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.","reason":"Expired","code":410}"#;

#[tokio::test]
async fn whole_lists_are_read_page_by_page() {
    let (server, translator) = recorded(&[(200, FIRST), (200, SECOND)]);
    let all = ListRequest {
        target: of("", "configmaps", ""),
        label_selector: "a=b".into(),
        resource_version: "0".into(),
        ..Default::default()
    };
    let pages = translator.list(Request::new(all)).await.unwrap();
    let pages: Vec<_> = pages.into_inner().try_collect().await.unwrap();
    let names: Vec<_> = pages.iter().map(|p| p.items[0].name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(pages[0].resource_version, 0, "only the last one tells");
    assert_eq!(
        (pages[1].resource_version, pages[1].r#continue.as_str()),
        (90, "")
    );
    let path = "GET /api/v1/namespaces/default/configmaps?labelSelector=a%3Db&limit=500";
    let asked = [
        format!("{path}&resourceVersion=0"),
        format!("{path}&continue=abc"),
    ];
    assert_eq!(*server.asked.lock(), asked);
}

#[tokio::test]
async fn a_page_that_was_asked_for_is_all_there_is() {
    let (_, translator) = recorded(&[(200, FIRST)]);
    let one = ListRequest {
        target: of("", "configmaps", ""),
        limit: 1,
        ..Default::default()
    };
    let pages = translator.list(Request::new(one)).await.unwrap();
    let pages: Vec<_> = pages.into_inner().try_collect().await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].r#continue, "abc");
    assert_eq!(pages[0].remaining_item_count, 1);
}

#[tokio::test]
async fn a_list_that_took_too_long_has_to_start_anew() {
    let (_, translator) = recorded(&[(200, FIRST), (410, EXPIRED)]);
    let all = ListRequest {
        target: of("", "configmaps", ""),
        ..Default::default()
    };
    let pages = translator.list(Request::new(all)).await.unwrap();
    let pages: Result<Vec<_>, _> = pages.into_inner().try_collect().await;
    assert!(Status::from(pages.unwrap_err()).is_expired());
}

#[tokio::test]
async fn initial_events_are_listed_where_the_server_may_not_send_them() {
    let event = r#"{"type":"DELETED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"default","resourceVersion":"91"}}}"#;
    let (server, translator) = recorded(&[(200, SECOND), (200, &format!("{event}\n"))]);
    let request = WatchRequest {
        target: of("", "configmaps", ""),
        allow_bookmarks: true,
        send_initial_events: true,
        ..Default::default()
    };
    let events = translator.watch(Request::new(request)).await.unwrap();
    let events: Vec<_> = events.into_inner().try_collect().await.unwrap();
    let kinds: Vec<_> = events.iter().map(api::WatchEvent::r#type).collect();
    let expected = [EventType::Added, EventType::Bookmark, EventType::Deleted];
    assert_eq!(kinds, expected);
    assert!(events[1].initial_events_end);
    let path = "GET /api/v1/namespaces/default/configmaps?watch=true\
        &resourceVersion=90&allowWatchBookmarks=true";
    assert_eq!(server.asked.lock()[1], path);
}

#[tokio::test]
async fn writes_say_how_they_are_meant() {
    let object = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}"#;
    let (server, translator) = recorded(&[(200, object); 6]);
    let options = Some(api::WriteOptions {
        dry_run: true,
        field_manager: "kubelet".into(),
        field_validation: "Strict".into(),
    });
    let (options, none) = (&options, None);
    let with = |subresource: &str| {
        let mut target = of("", "pods", "a");
        target.as_mut().unwrap().subresource = subresource.into();
        target
    };
    let create = |subresource, options: &Option<api::WriteOptions>| {
        Request::new(api::CreateRequest {
            target: with(subresource),
            json: Bytes::from_static(b"{}"),
            options: options.clone(),
        })
    };
    let patch = |kind: api::PatchType, force| {
        Request::new(api::PatchRequest {
            target: with("status"),
            r#type: kind.into(),
            force,
            ..Default::default()
        })
    };
    translator.create(create("", options)).await.unwrap();
    translator.create(create("binding", &none)).await.unwrap();
    for (kind, force) in [
        (api::PatchType::StrategicMergePatch, false),
        (api::PatchType::ApplyPatch, true),
    ] {
        translator.patch(patch(kind, force)).await.unwrap();
    }
    for options in ["", "{}"] {
        let request = DeleteRequest {
            target: of("", "pods", "a"),
            options: Bytes::from_static(options.as_bytes()),
        };
        translator.delete(Request::new(request)).await.unwrap();
    }
    let pods = "/api/v1/namespaces/default/pods";
    let asked = [
        format!(
            "POST {pods}?dryRun=All&fieldManager=kubelet&fieldValidation=Strict application/json"
        ),
        format!("POST {pods}/a/binding application/json"),
        format!("PATCH {pods}/a/status application/strategic-merge-patch+json"),
        format!("PATCH {pods}/a/status?force=true application/apply-patch+yaml"),
        format!("DELETE {pods}/a"),
        format!("DELETE {pods}/a application/json"),
    ];
    assert_eq!(*server.asked.lock(), asked);
}

#[tokio::test]
async fn what_an_older_apiserver_lacks_is_said() {
    let version = r#"{"major":"1","minor":"20","gitVersion":"v1.20.5"}"#;
    let (server, translator) = recorded(&[(404, "404 page not found\n"), (200, version)]);
    let slices = ListRequest {
        target: of("discovery.k8s.io", "endpointslices", ""),
        ..Default::default()
    };
    let missing = status(translator.list(Request::new(slices)).await);
    assert!(missing.is_not_found());
    let expected = "the apiserver (Kubernetes v1.20.5) does not serve \
        endpointslices.discovery.k8s.io in version v1: Kubernetes 1.21 or later is needed";
    assert_eq!(missing.message, expected);
    assert_eq!(server.asked.lock().len(), 2);
    // An object that isn't there is another matter.
    let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"pods"},"code":404}"#;
    let (server, translator) = recorded(&[(404, body)]);
    let request = GetRequest {
        target: of("", "pods", "a"),
        ..Default::default()
    };
    let missing = status(translator.get(Request::new(request)).await);
    assert_eq!(missing, Status::not_found("", "pods", "a"));
    assert_eq!(server.asked.lock().len(), 1);
}

#[tokio::test]
async fn who_calls_is_passed_on() {
    let mut call = Request::new(());
    let metadata = call.metadata_mut();
    metadata.insert("authorization", "Bearer x".parse().unwrap());
    metadata.insert("audit-id", "reconcile-1.y".parse().unwrap());
    metadata.insert("grpc-timeout", "1S".parse().unwrap());
    let carried = ForwardedHeaders::by(&call);
    let location = Location::path("/version");
    let request = carried.request(Method::GET, &location, None).unwrap();
    let mut names: Vec<_> = request.headers().keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "audit-id", "authorization"]);
    assert!(request.into_body().is_empty());
}
