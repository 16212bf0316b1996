//! A server of custom and external metrics behind the apiserver, within a test: it answers
//! `custom.metrics.k8s.io` and `external.metrics.k8s.io` with values that the test sets, and
//! remembers what it was asked.

use base64::Engine as _;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Values by the path that asks for them.
type Values = BTreeMap<String, Value>;

#[derive(Default)]
struct State {
    values: Mutex<Values>,
    asked: Mutex<Vec<String>>,
}

/// The server; it serves until the test's process ends.
pub struct MetricsServer {
    state: Arc<State>,
    address: IpAddr,
    port: u16,
    ca_bundle: String,
}

impl MetricsServer {
    /// Listens on an address, as the Service `NAMESPACE/metrics` leads there.
    #[track_caller]
    pub fn start(address: IpAddr, namespace: &str) -> Self {
        let name = format!("metrics.{namespace}.svc");
        let made = rcgen::generate_simple_self_signed([name]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the key is the certificate's");
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State::default());
        let (config, served) = (Arc::new(config), state.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (config, state) = (config.clone(), served.clone());
                // A client that goes away ends its connection, nothing else.
                std::thread::spawn(move || serve(connection, config, &state).ok());
            }
        });
        Self {
            state,
            address,
            port,
            ca_bundle: base64::engine::general_purpose::STANDARD.encode(made.cert.pem()),
        }
    }

    /// Has a path below `/apis` answer with a list of these values.
    pub fn set(&self, path: &str, items: Value) {
        let mut values = lock(&self.state.values);
        values.insert(format!("/apis/{path}"), json!({"items": items}));
    }

    /// All paths and queries that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state.asked).clone()
    }

    /// What makes it known to the cluster: a Service with its endpoints, and an APIService
    /// for each group.
    pub fn manifest(&self, namespace: &str) -> Value {
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "metrics", "namespace": namespace},
            "spec": {"ports": [{"name": "https", "port": 443}]}});
        let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "metrics-1", "namespace": namespace,
                "labels": {"kubernetes.io/service-name": "metrics"}},
            "addressType": "IPv4", "ports": [{"name": "https", "port": self.port}],
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": true}}]});
        let group = |group: &str, version: &str| {
            json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": format!("{version}.{group}")},
                "spec": {"group": group, "version": version, "groupPriorityMinimum": 100,
                    "versionPriority": 100, "caBundle": self.ca_bundle,
                    "service": {"namespace": namespace, "name": "metrics"}}})
        };
        json!({"apiVersion": "v1", "kind": "List", "items": [service, slice,
            group("custom.metrics.k8s.io", "v1beta2"), group("external.metrics.k8s.io", "v1beta1")]})
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request after the other, none of which has a body.
fn serve(tcp: TcpStream, config: Arc<ServerConfig>, state: &State) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, tcp));
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line);
        }
        let request = head.first().map(String::as_str).unwrap_or_default();
        // The star for all pods may be written either way.
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (code, body) = answer(state, &target.replace("%2A", "*"));
        let body = body.to_string();
        let length = body.len();
        write!(
            stream.get_mut(),
            "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        stream.get_mut().flush()?;
    }
}

fn answer(state: &State, target: &str) -> (&'static str, Value) {
    let path = target.split('?').next().unwrap_or_default();
    if let Some(list) = lock(&state.values).get(path) {
        lock(&state.asked).push(target.to_owned());
        return ("200 OK", list.clone());
    }
    let mut parts = path.trim_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("apis"), Some(group), Some(version), None) => (
            "200 OK",
            json!({"kind": "APIResourceList", "apiVersion": "v1",
                "groupVersion": format!("{group}/{version}"), "resources": []}),
        ),
        _ => ("404 Not Found", Value::Null),
    }
}
