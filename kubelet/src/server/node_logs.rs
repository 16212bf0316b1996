//! `/logs/`: the files of the node's log directory, as they are.

use super::query::Query;
use super::{Body, Refusal, text};
use futures_util::TryStreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::path::{Path, PathBuf};
use tokio::fs;
use tokio_util::io::ReaderStream;

/// What is shown.
pub const DIRECTORY: &str = "/var/log";

/// Answers with a file, or with the names that a directory has. `path` is as it was asked for,
/// `names` its decoded segments below the directory.
pub async fn answer(
    directory: &Path,
    path: &str,
    names: &[&str],
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    if query.get("query").is_some() {
        let why = "logs can't be queried by the names of services: ask for a file below /logs/";
        return Err(Refusal::bad_request(why));
    }
    let found = find(directory, names).await?;
    let metadata = fs::metadata(&found).await.map_err(gone)?;
    match (metadata.is_dir(), path.ends_with('/')) {
        (true, true) => list(&found).await,
        (true, false) => Ok(moved(&format!("{}/", names.last().unwrap_or(&"logs")))),
        (false, true) => Ok(moved(&format!("../{}", names.last().unwrap_or(&"")))),
        (false, false) if metadata.is_file() => show(&found, metadata.len()).await,
        // Whoever opened a pipe or a device would wait, or do harm.
        (false, false) => Err(not_found()),
    }
}

/// The file of these names. Links are followed as long as they stay below the directory: what
/// is in it may be a pod's, and must not show what else the node has.
async fn find(directory: &Path, names: &[&str]) -> Result<PathBuf, Refusal> {
    let mut path = directory.to_owned();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if matches!(*name, "." | "..") || name.contains(['/', '\0']) {
            return Err(not_found());
        }
        path.push(name);
    }
    let top = fs::canonicalize(directory).await.map_err(gone)?;
    let found = fs::canonicalize(&path).await.map_err(gone)?;
    match found.starts_with(&top) {
        true => Ok(found),
        false => Err(not_found()),
    }
}

/// The names in a directory, as Go's file server shows them.
async fn list(directory: &Path) -> Result<Response<Body>, Refusal> {
    let mut names = Vec::new();
    let mut entries = fs::read_dir(directory).await.map_err(gone)?;
    while let Some(entry) = entries.next_entry().await.map_err(Refusal::internal)? {
        let slash = entry.file_type().await.is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name().to_string_lossy().into_owned();
        names.push(if slash { name + "/" } else { name });
    }
    names.sort();
    let line = |name: &String| format!("<a href=\"{}\">{}</a>\n", encode(name), escape(name));
    let lines: String = names.iter().map(line).collect();
    let page = format!(
        "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n{lines}</pre>\n"
    );
    Ok(text(StatusCode::OK, "text/html; charset=utf-8", page))
}

async fn show(path: &Path, length: u64) -> Result<Response<Body>, Refusal> {
    let file = fs::File::open(path).await.map_err(gone)?;
    // What is written meanwhile is for the next one.
    let file = tokio::io::AsyncReadExt::take(file, length);
    let frames = ReaderStream::new(file).map_ok(Frame::data);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let kind = match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => "application/gzip",
        _ => "text/plain; charset=utf-8",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn moved(to: &str) -> Response<Body> {
    let mut response = text(StatusCode::MOVED_PERMANENTLY, "text/plain", "");
    if let Ok(to) = HeaderValue::from_str(&encode(to)) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// A name as it stands in a link.
fn encode(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let coded = name.bytes().map(|b| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    });
    coded.collect()
}

fn escape(name: &str) -> String {
    let name = name.replace('&', "&amp;").replace('<', "&lt;");
    name.replace('>', "&gt;").replace('"', "&#34;")
}

fn not_found() -> Refusal {
    Refusal::not_found("404 page not found")
}

fn gone(error: std::io::Error) -> Refusal {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            Refusal(StatusCode::FORBIDDEN, "403 Forbidden".into())
        }
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => not_found(),
        _ => Refusal::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    async fn ask(directory: &Path, path: &str) -> (u16, String) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
        match answer(directory, path, &parts, &Query::parse(query)).await {
            Ok(response) => {
                let code = response.status().as_u16();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                (code, String::from_utf8(body.to_vec()).unwrap())
            }
            Err(Refusal(code, why)) => (code.as_u16(), why),
        }
    }

    #[tokio::test]
    async fn files_and_folders_are_shown_and_nothing_else_of_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("log");
        std::fs::create_dir_all(logs.join("pods/<a>")).unwrap();
        std::fs::write(logs.join("kubelet.log"), "hello\n").unwrap();
        std::fs::write(dir.path().join("secret"), "no").unwrap();
        symlink(dir.path().join("secret"), logs.join("leak")).unwrap();
        symlink(logs.join("kubelet.log"), logs.join("pods/kubelet")).unwrap();
        let (code, page) = ask(&logs, "/logs/").await;
        assert_eq!(code, 200);
        assert!(
            page.contains("<a href=\"kubelet.log\">kubelet.log</a>\n"),
            "{page}"
        );
        assert!(page.contains("<a href=\"pods/\">pods/</a>\n"), "{page}");
        let (_, page) = ask(&logs, "/logs/pods/").await;
        assert!(
            page.contains("<a href=\"%3Ca%3E/\">&lt;a&gt;/</a>\n"),
            "{page}"
        );
        for path in ["/logs/kubelet.log", "/logs/pods/kubelet"] {
            assert_eq!(ask(&logs, path).await, (200, "hello\n".into()), "{path}");
        }
        for path in [
            "/logs/none",
            "/logs/leak",
            "/logs/../secret",
            "/logs/pods/../../secret",
            "/logs/kubelet.log/x",
        ] {
            assert_eq!(ask(&logs, path).await.0, 404, "{path}");
        }
        assert_eq!(ask(&logs, "/logs/pods").await.0, 301);
        assert_eq!(ask(&logs, "/logs/?query=kubelet").await.0, 400);
    }
}
