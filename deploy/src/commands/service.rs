//! `hardway service NAME`: where a Service is reached, and the browser that opens it there.
//! `hardway service list` shows all.

mod forward;
mod urls;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anstream::{eprintln, print, println};
use serde_json::{Value, json};

use crate::api::{Api, text};
use crate::call;
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::output::table;
use crate::shell;
use crate::watch;
use urls::Port;

/// Which Service, and what to do with it.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Its name; `list` shows all Services
    #[arg(
        value_name = "NAME|list",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub name: Option<String>,
    /// Its namespace [default: default; for `list`, all]
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// All Services of the namespace
    #[arg(long)]
    pub all: bool,
    /// Only print the URLs
    #[arg(long)]
    pub url: bool,
    /// Make it https in place of http
    #[arg(long)]
    pub https: bool,
    /// Wait so long for pods that are ready
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub wait: u64,
}

/// Does it.
pub fn run(lab: &Lab, options: &Options) -> Result<()> {
    let api = lab.api();
    let namespace = options.namespace.as_deref();
    match options.name.as_deref() {
        // A Service of this name is reached by `--all`.
        Some("list") => list(&api, namespace),
        Some(name) => open(lab, &api, namespace.unwrap_or("default"), name, options),
        None => open_all(&api, namespace.unwrap_or("default"), options),
    }
}

fn list(api: &Api, namespace: Option<&str>) -> Result<()> {
    let services = services(api, namespace)?;
    let nodes = api.get("/api/v1/nodes")?.unwrap_or_default();
    let mut rows = vec![["NAMESPACE", "NAME", "TARGET PORT", "URL"].map(str::to_owned)];
    for service in &services {
        let slices = slices(api, service)?;
        let node = urls::node_address(service, &nodes, &slices);
        rows.extend(lines(service, &urls::ports(service, node, false)));
    }
    print!("{}", table(&rows));
    Ok(())
}

/// A line for each port of a Service.
fn lines(service: &Value, ports: &[Port]) -> Vec<[String; 4]> {
    let metadata = &service["metadata"];
    let line = |target: &str, url: &str| {
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        [namespace, name, target, url].map(str::to_owned)
    };
    let spec = &service["spec"];
    if spec["type"] == "ExternalName" {
        let name = format!("stands for {}", text(&spec["externalName"]));
        return vec![line("-", &name)];
    }
    if ports.is_empty() {
        return vec![line("-", "no ports")];
    }
    let shown = ports.iter().map(|port| {
        let url = port.url.as_deref().unwrap_or("no node port");
        line(&port.target, url)
    });
    shown.collect()
}

fn services(api: &Api, namespace: Option<&str>) -> Result<Vec<Value>> {
    let path = match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/services"),
        None => "/api/v1/services".to_owned(),
    };
    let mut found = api.get(&path)?.unwrap_or_default();
    Ok(match found["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    })
}

fn slices(api: &Api, service: &Value) -> Result<Value> {
    Ok(api.get(&slices_path(service))?.unwrap_or_default())
}

fn slices_path(service: &Value) -> String {
    let metadata = &service["metadata"];
    format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{}",
        text(&metadata["namespace"]),
        text(&metadata["name"])
    )
}

fn open(lab: &Lab, api: &Api, namespace: &str, name: &str, options: &Options) -> Result<()> {
    let what = || format!("open the Service {namespace}/{name}");
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let service = api.get(&path)?.ok_or_else(|| {
        Failure::new(what(), "there is no such Service")
            .way_out(format!("see what there is: {} service list", call::tool()))
    })?;
    if service["spec"]["type"] == "ExternalName" {
        let stands_for = text(&service["spec"]["externalName"]);
        let why = format!("it is no more than another name for {stands_for}");
        return Err(Failure::new(what(), why));
    }
    let slices = wait_for_endpoints(api, &service, options.wait)?;
    let nodes = api.get("/api/v1/nodes")?.unwrap_or_default();
    let node = urls::node_address(&service, &nodes, &slices);
    let ports = urls::ports(&service, node, options.https);
    if ports.iter().any(|port| port.url.is_some()) {
        show(&service, &ports, options);
        return Ok(());
    }
    if service["spec"]["selector"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        return Err(Failure::new(
            what(),
            "it has neither a port on the nodes nor a selector, so that no pod is known to lead to",
        )
        .way_out("reach its endpoints themselves: kubectl get endpointslices"));
    }
    eprintln!(
        "{namespace}/{name} has no port on the nodes: it is for the cluster's own pods. To give it one:
  kubectl patch service {name} --namespace {namespace} --patch '{{\"spec\":{{\"type\":\"NodePort\"}}}}'
Until this command is ended (Ctrl-C), ports of this machine lead to it."
    );
    forward::run(lab, &service, options.https, |ports| {
        show(&service, ports, options);
    })
}

fn open_all(api: &Api, namespace: &str, options: &Options) -> Result<()> {
    let nodes = api.get("/api/v1/nodes")?.unwrap_or_default();
    let mut found = false;
    for service in services(api, Some(namespace))? {
        let with_node_ports = |node| urls::ports(&service, node, options.https);
        let reached = |ports: &[Port]| ports.iter().any(|port| port.url.is_some());
        // Any address tells whether there is a port for it.
        if !reached(&with_node_ports(Some([127, 0, 0, 1].into()))) {
            continue;
        }
        found = true;
        let slices = wait_for_endpoints(api, &service, options.wait)?;
        let ports = with_node_ports(urls::node_address(&service, &nodes, &slices));
        show(&service, &ports, options);
    }
    if found {
        return Ok(());
    }
    let what = format!("open the Services of namespace {namespace}");
    Err(Failure::new(what, "none has a port on the nodes")
        .way_out("name one: ports of this machine are led to it then"))
}

/// Waits until traffic has somewhere to go; gives the endpoints.
fn wait_for_endpoints(api: &Api, service: &Value, seconds: u64) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let slices = watch::until(api, &slices_path(service), deadline, |slices| {
        let slices = json!({"items": slices});
        let is_ready = urls::ready_endpoints(&slices).next().is_some();
        is_ready.then_some(slices)
    })?;
    slices.ok_or_else(|| {
        let metadata = &service["metadata"];
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let what = format!("open the Service {namespace}/{name}");
        Failure::new(what, "no pod behind it is ready").way_out(format!(
            "see why: {} why service/{name} -n {namespace}",
            call::tool()
        ))
    })
}

/// Prints the URLs, and has a browser open what it can, where a person looks at a screen.
fn show(service: &Value, ports: &[Port], options: &Options) {
    if options.url {
        for url in ports.iter().filter_map(|port| port.url.as_deref()) {
            println!("{url}");
        }
        return;
    }
    let mut rows = vec![["NAMESPACE", "NAME", "TARGET PORT", "URL"].map(str::to_owned)];
    rows.extend(lines(service, ports));
    print!("{}", table(&rows));
    for port in ports.iter().filter(|port| port.is_for_browsers()) {
        if let Some(url) = &port.url {
            open_browser(url);
        }
    }
}

/// Has the desktop's browser open a URL, where there is a desktop.
fn open_browser(url: &str) {
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let opener = shell::find_program("xdg-open").filter(|_| has_screen);
    let Some(opener) = opener else {
        return;
    };
    let started = Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match started {
        Ok(status) if status.success() => println!("opened {url} in the browser"),
        _ => eprintln!("warning: xdg-open could not open {url}; open it yourself"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_of_each_port_where_it_is() {
        let metadata = json!({"namespace": "default", "name": "web"});
        let service = json!({"metadata": metadata, "spec": {"ports": [
            {"name": "http", "port": 80, "nodePort": 30061}, {"port": 81},
        ]}});
        let ports = urls::ports(&service, "10.88.0.11".parse().ok(), false);
        let rows = lines(&service, &ports);
        assert_eq!(
            rows[0],
            ["default", "web", "http/80", "http://10.88.0.11:30061"]
        );
        assert_eq!(rows[1][2..], ["81", "no node port"]);
        let spec = json!({"type": "ExternalName", "externalName": "example.com"});
        let service = json!({"metadata": metadata, "spec": spec});
        assert_eq!(lines(&service, &[])[0][3], "stands for example.com");
    }
}
