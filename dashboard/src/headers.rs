//! What every answer tells the browser about how far the page may go.

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

/// For the page: what it needs, all of it from here.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
/// For what others wrote: nothing, and no origin.
const OTHERS: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'; sandbox";

/// Marks an answer that others wrote: it is shown as data, whatever it contains.
#[derive(Clone, Copy)]
pub struct Foreign;

/// Adds the headers.
pub async fn add(mut response: Response) -> Response {
    let foreign = response.extensions().get::<Foreign>().is_some();
    let policy = if foreign { OTHERS } else { PAGE };
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Nothing that somebody may see with a login stays behind after it.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
