//! Where a probe or hook goes, and what is said when it can't get there.

use super::Outcome;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// A port by number, or by the name it has in the container.
pub(crate) fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            match ports.find(|p| p.name.as_deref() == Some(name)) {
                Some(found) => i64::from(found.container_port),
                None => name
                    .parse()
                    .map_err(|_| format!("strconv.Atoi: parsing {name:?}: invalid syntax"))?,
            }
        }
    };
    let valid = u16::try_from(number).ok().filter(|port| *port > 0);
    valid.ok_or_else(|| format!("invalid port number: {number}"))
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A system error in Go's words: lower case, without its number.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// Connects; a failure reads as Go's net package tells it.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let address = address(host, port);
    TcpStream::connect(&address)
        .await
        .map_err(|e| format!("dial tcp {address}: connect: {}", words(&e)))
}

/// The TCP probe: whether a connection can be made.
pub(super) async fn connectable(host: &str, port: u16, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, connect(host, port)).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(reason)) => Outcome::Failure(reason),
        Err(_) => Outcome::Failure(format!("dial tcp {}: i/o timeout", address(host, port))),
    }
}

/// A duration of whole seconds as Go prints it.
pub(super) fn go_seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_have_numbers_or_names() {
        let container: Container = serde_json::from_value(json!({
            "name": "c", "ports": [{"name": "http", "containerPort": 8080}],
        }))
        .unwrap();
        let named = |name: &str| port(&IntOrString::String(name.into()), &container);
        assert_eq!(port(&IntOrString::Int(80), &container), Ok(80));
        assert_eq!(named("http"), Ok(8080));
        assert_eq!(named("81"), Ok(81));
        assert_eq!(
            named("no"),
            Err("strconv.Atoi: parsing \"no\": invalid syntax".into())
        );
        assert!(port(&IntOrString::Int(0), &container).is_err());
    }

    #[test]
    fn durations_as_go_prints_them() {
        let of = |s| go_seconds(Duration::from_secs(s));
        assert_eq!([of(1), of(60), of(3725)], ["1s", "1m0s", "1h2m5s"]);
    }

    #[tokio::test]
    async fn tcp_probes_connect() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let timeout = Duration::from_secs(5);
        let open = connectable("127.0.0.1", port, timeout).await;
        assert_eq!(open, Outcome::Success);
        drop(listener);
        let text = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
        let closed = connectable("127.0.0.1", port, timeout).await;
        assert_eq!(closed, Outcome::Failure(text));
    }
}
