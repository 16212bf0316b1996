//! What the server knows: the cluster, and who its viewers are.

use crate::cluster::{self, Cluster};
use crate::failure::Failure;
use crate::logins::Logins;
use crate::origin::Served;
use crate::sessions::Sessions;
use crate::viewer::Viewer;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;

/// The cookie with the session's identifier. By its name browsers take it over HTTPS alone, from
/// this host alone, for all paths of it.
pub const COOKIE: &str = "__Host-hardway-dashboard";

/// Who may view.
pub enum Viewers {
    /// The user whose process this is.
    User(Arc<Viewer>),
    /// Whoever has logged in.
    LoggedIn(Mutex<Sessions>),
}

/// The server's state.
pub struct Dashboard {
    /// Which cluster.
    pub cluster: Cluster,
    /// Who views it.
    pub viewers: Viewers,
    /// Under which names it may be asked.
    pub served: Served,
    /// Turns of those who log in.
    pub logins: Logins,
}

impl Dashboard {
    /// For the user whose kubeconfig it is.
    ///
    /// # Errors
    /// If the credentials can't be used.
    pub fn local(cluster: Cluster, port: u16) -> Result<Arc<Self>, cluster::Error> {
        let viewer = Viewer::new(cluster.client()?);
        Ok(Arc::new(Self {
            cluster,
            viewers: Viewers::User(viewer),
            served: Served::Locally(port),
            logins: Logins::default(),
        }))
    }

    /// For whoever logs in.
    pub fn add_on(cluster: Cluster) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            viewers: Viewers::LoggedIn(Mutex::default()),
            served: Served::UnderAnyName,
            logins: Logins::default(),
        })
    }

    /// Who asks, if that is known.
    pub fn viewer(&self, headers: &HeaderMap) -> Option<Arc<Viewer>> {
        match &self.viewers {
            Viewers::User(viewer) => Some(viewer.clone()),
            Viewers::LoggedIn(sessions) => {
                let identifier = session_of(headers)?;
                sessions.lock().viewer(identifier, Instant::now())
            }
        }
    }
}

/// The session that a request names.
pub fn session_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| value.split(';'));
    cookies.find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}

/// Who asks; without a login, 401.
pub struct Asking(pub Arc<Viewer>);

impl FromRequestParts<Arc<Dashboard>> for Asking {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        dashboard: &Arc<Dashboard>,
    ) -> Result<Self, Failure> {
        let viewer = dashboard.viewer(&parts.headers);
        let not_known = || Failure::new(StatusCode::UNAUTHORIZED, "log in first");
        viewer.map(Self).ok_or_else(not_known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_session_is_found_among_cookies() {
        let mut headers = HeaderMap::new();
        assert_eq!(session_of(&headers), None);
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=b; hardway-dashboard=no"),
        );
        assert_eq!(session_of(&headers), None);
        let own = "x=y; __Host-hardway-dashboard=abc; z=1";
        headers.append(header::COOKIE, HeaderValue::from_static(own));
        assert_eq!(session_of(&headers), Some("abc"));
    }
}
