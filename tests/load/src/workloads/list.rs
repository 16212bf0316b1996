//! Lists of pods, in every way in which they are asked for.

use std::time::Instant;

use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::Deserialize;

use super::make;
use crate::api::{Answer, Api, ApiError, Call};
use crate::failure::{Failure, OrFail};
use crate::measure::Measuring;
use crate::objects;
use crate::report::Measurement;
use crate::workload::{Context, Workload};

/// What kubectl asks for by default.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// What the garbage collector and the namespace controller ask for.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
/// What Kubernetes' own components ask for.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// Items of a page: what kubectl asks for.
const PAGE: u64 = 500;

/// See the module.
pub(super) struct List;

impl Workload for List {
    fn name(&self) -> &'static str {
        "list"
    }

    fn about(&self) -> &'static str {
        "lists --pods pods: JSON, gzip, tables, pages, selectors, metadata only, protobuf …"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

/// A way to ask.
struct Way {
    name: &'static str,
    path: String,
    accept: &'static str,
    gzip: bool,
    pages: bool,
    /// How many items there must be at least, and at most.
    items: (u64, u64),
}

fn ways(context: &Context) -> Vec<Way> {
    let count = context.sizes.pods.get();
    let path = context.core("pods");
    let plain = |name: &'static str, path: String| Way {
        name,
        path,
        accept: "application/json",
        gzip: false,
        pages: false,
        items: (count, count),
    };
    let group = count / 10 + u64::from(!count.is_multiple_of(10));
    vec![
        plain("list", path.clone()),
        plain(
            "list, resourceVersion=0",
            format!("{path}?resourceVersion=0"),
        ),
        Way {
            // Others may have pods, too.
            items: (count, u64::MAX),
            ..plain("list, all namespaces", "/api/v1/pods".to_owned())
        },
        Way {
            gzip: true,
            ..plain("list, gzip", path.clone())
        },
        Way {
            accept: TABLE,
            ..plain("list, table", path.clone())
        },
        Way {
            pages: true,
            ..plain("list, pages of 500", path.clone())
        },
        Way {
            items: (group, group),
            ..plain(
                "list, a tenth by label",
                format!("{path}?labelSelector=group%3D{}", objects::group(0)),
            )
        },
        Way {
            items: (1, 1),
            ..plain(
                "list, one by field",
                format!("{path}?fieldSelector=metadata.name%3D{}", make::name(0)),
            )
        },
        Way {
            items: (0, 0),
            ..plain(
                "list, a node's, which has none",
                format!(
                    "{path}?fieldSelector=spec.nodeName%3Dhardway-load-{}",
                    context.id
                ),
            )
        },
        Way {
            accept: METADATA,
            ..plain("list, metadata only", path.clone())
        },
        Way {
            accept: PROTOBUF,
            ..plain("list, protobuf", path)
        },
    ]
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    make::ready_pods(context, context.sizes.pods.get()).await?;
    let api = context.api(0);
    let mut measured = Vec::new();
    for way in ways(context) {
        // The first is looked at, and not measured: looking takes longer than the answer.
        let complaint = match fetch(api, &way).await {
            Ok(answers) => check(&way, &answers),
            Err(error) if error.code() == Some(406) => {
                let measuring = context.begin(way.name, 0);
                measuring.note(format!("the server does not offer it: {error}"));
                measured.push(measuring.finish());
                continue;
            }
            Err(error) => return Err(error).or_fail(|| format!("{} at {}", way.name, way.path)),
        };
        let measuring = context.begin(way.name, context.sizes.lists.get());
        if let Some(complaint) = complaint {
            measuring.violation(complaint);
        }
        repeat(api, &way, context.sizes.lists.get(), &measuring).await;
        measured.push(measuring.finish());
    }
    Ok(measured)
}

async fn repeat(api: &Api, way: &Way, times: u64, measuring: &Measuring) {
    for _ in 0..times {
        let began = Instant::now();
        let answers = fetch(api, way).await;
        if let Some(answers) = measuring.took(began.elapsed(), answers) {
            measuring.received(answers.iter().map(|answer| answer.body.len()).sum());
        }
    }
}

/// The whole list, in as many answers as it takes.
async fn fetch(api: &Api, way: &Way) -> Result<Vec<Answer>, ApiError> {
    let call = |path: String| {
        let call = Call::get(path).accept(way.accept);
        if way.gzip { call.gzip() } else { call }
    };
    if !way.pages {
        return Ok(vec![api.send(&call(way.path.clone())).await?]);
    }
    let mut answers = Vec::new();
    let mut path = format!("{}?limit={PAGE}", way.path);
    loop {
        let answer = api.send(&call(path)).await?;
        let list = read(&answer)?;
        answers.push(answer);
        if list.metadata.r#continue.is_empty() {
            return Ok(answers);
        }
        let next = list
            .metadata
            .r#continue
            .replace('+', "%2B")
            .replace('=', "%3D");
        path = format!("{}?limit={PAGE}&continue={next}", way.path);
    }
}

/// What of a list has to be known. The items are not looked into.
#[derive(Debug, Deserialize)]
struct Read {
    metadata: Metadata,
    /// Of a table they are the rows.
    #[serde(alias = "rows", default)]
    items: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    r#continue: String,
}

fn read(answer: &Answer) -> Result<Read, ApiError> {
    serde_json::from_slice(&answer.body).map_err(|error| ApiError::Unreadable {
        why: error.to_string(),
    })
}

/// What is wrong with the answers, if something is.
fn check(way: &Way, answers: &[Answer]) -> Option<String> {
    let header = |name| {
        let answer = answers.first()?;
        answer.headers.get(name)?.to_str().ok()
    };
    if way.accept == PROTOBUF {
        // Every object of this form begins so (k8s.io/apimachinery, runtime/serializer/protobuf).
        let begins = answers.iter().all(|it| it.body.starts_with(b"k8s\0"));
        let typed = header(CONTENT_TYPE).is_some_and(|it| it.starts_with(PROTOBUF));
        return (!begins || !typed).then(|| format!("{}: the answer is no protobuf", way.name));
    }
    if way.gzip {
        let magic = answers.iter().all(|it| it.body.starts_with(&[0x1f, 0x8b]));
        // Small answers are not worth it (apiserver, 128 KiB).
        let small = answers.iter().all(|it| it.body.len() < 128 * 1024);
        return match header(CONTENT_ENCODING) {
            Some("gzip") if magic => None,
            None if small && !magic => None,
            other => Some(format!("{}: Content-Encoding is {other:?}", way.name)),
        };
    }
    let count = |answer: &Answer| read(answer).map(|list| list.items.map_or(0, |it| it.len()));
    let counts: Result<Vec<usize>, ApiError> = answers.iter().map(count).collect();
    match counts {
        Err(error) => Some(format!("{}: {error}", way.name)),
        Ok(counts) => {
            let sum = counts.iter().sum::<usize>() as u64;
            let (least, most) = way.items;
            (!(least..=most).contains(&sum))
                .then(|| format!("{}: {sum} items in place of {least}", way.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn answer(body: &'static [u8], header: Option<(http::HeaderName, &str)>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().unwrap());
        }
        Answer {
            status: StatusCode::OK,
            headers,
            body: body.into(),
        }
    }

    fn way() -> Way {
        Way {
            name: "list",
            path: String::new(),
            accept: "application/json",
            gzip: false,
            pages: false,
            items: (2, 2),
        }
    }

    #[test]
    fn items_of_all_pages_and_rows_are_counted() {
        let one = answer(br#"{"metadata":{"continue":"x"},"items":[{}]}"#, None);
        let rows = answer(br#"{"metadata":{},"rows":[{"cells":[1]},{}]}"#, None);
        let none = answer(br#"{"metadata":{},"items":null}"#, None);
        assert_eq!(check(&way(), &[rows]), None);
        assert_eq!(
            check(&way(), &[one]),
            Some("list: 1 items in place of 2".to_owned())
        );
        let empty = Way {
            items: (0, 0),
            ..way()
        };
        assert_eq!(check(&empty, &[none]), None);
    }

    #[test]
    fn other_forms_are_what_was_asked_for() {
        let gzip = Way {
            gzip: true,
            ..way()
        };
        let packed = || answer(&[0x1f, 0x8b, 8], Some((CONTENT_ENCODING, "gzip")));
        assert_eq!(check(&gzip, &[packed()]), None);
        assert!(check(&gzip, &[answer(b"{}", Some((CONTENT_ENCODING, "gzip")))]).is_some());
        assert_eq!(check(&gzip, &[answer(b"{}", None)]), None);
        let protobuf = Way {
            accept: PROTOBUF,
            ..way()
        };
        let typed = Some((CONTENT_TYPE, PROTOBUF));
        assert_eq!(check(&protobuf, &[answer(b"k8s\0\n", typed.clone())]), None);
        assert!(check(&protobuf, &[answer(b"{}", typed)]).is_some());
    }
}
