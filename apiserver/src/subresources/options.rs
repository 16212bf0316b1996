//! What a stream is asked for, as the object that admission sees (`PodExecOptions` and its
//! like), and back.

use crate::pipeline::{Target, pairs};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

/// Fields that are true or false.
const SWITCHES: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];

/// The options of a stream: what its query says, and for a proxy the path behind it.
pub fn read(target: &Target, rest: &str, query: &str) -> Value {
    let subresource = target
        .resource
        .subresource(&target.version, &target.subresource);
    let kind = subresource.and_then(|subresource| subresource.body.as_ref());
    let kind = kind.map_or("", |(_, _, kind)| kind.as_str());
    let mut options = Map::new();
    options.insert("kind".into(), kind.into());
    options.insert("apiVersion".into(), "v1".into());
    if kind.ends_with("ProxyOptions") {
        let path = if rest.is_empty() { "/" } else { rest };
        options.insert("path".into(), path.into());
        return Value::Object(options);
    }
    let push = |options: &mut Map<String, Value>, name: &str, value: Value| {
        let list = options.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
    };
    for (name, value) in pairs(query) {
        match (kind, name.as_str()) {
            ("PodExecOptions" | "PodAttachOptions", name) if SWITCHES.contains(&name) => {
                if matches!(value.as_str(), "true" | "1") {
                    options.insert(name.into(), true.into());
                }
            }
            ("PodExecOptions" | "PodAttachOptions", "container") => {
                options.insert(name, value.into());
            }
            ("PodExecOptions", "command") => push(&mut options, &name, value.into()),
            ("PodPortForwardOptions", "ports") => {
                let ports = value.split(',').filter_map(|port| port.parse::<u16>().ok());
                ports.for_each(|port| push(&mut options, &name, port.into()));
            }
            _ => {}
        }
    }
    Value::Object(options)
}

/// The path behind a proxy and the query that options come to.
pub fn write(options: &Value, query: &str) -> (String, String) {
    if let Some(path) = options["path"].as_str() {
        return (path.to_owned(), query.to_owned());
    }
    let mut parts = Vec::new();
    let mut add = |name: &str, value: &str| {
        parts.push(format!(
            "{name}={}",
            utf8_percent_encode(value, NON_ALPHANUMERIC)
        ));
    };
    for name in SWITCHES {
        if options[name] == true {
            add(name, "true");
        }
    }
    if let Some(container) = options["container"].as_str() {
        add("container", container);
    }
    for word in options["command"].as_array().into_iter().flatten() {
        add("command", word.as_str().unwrap_or_default());
    }
    for port in options["ports"].as_array().into_iter().flatten() {
        add("ports", &port.to_string());
    }
    (String::new(), parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::Registry;

    fn target(plural: &str, subresource: &str) -> Target {
        Target {
            resource: Registry::new().resource("", plural).unwrap(),
            version: "v1".into(),
            namespace: "shop".into(),
            name: "web".into(),
            subresource: subresource.into(),
        }
    }

    #[test]
    fn options_come_out_of_the_query_and_back() {
        let query = "command=sh&command=-c%20x&stdin=true&stdout=1&tty=false&container=c";
        let options = read(&target("pods", "exec"), "", query);
        assert_eq!(
            options,
            json!({"kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "stdout": true,
                "container": "c", "command": ["sh", "-c x"]})
        );
        let (_, again) = write(&options, query);
        assert_eq!(read(&target("pods", "exec"), "", &again), options);
        let ports = read(&target("pods", "portforward"), "", "ports=80,81&ports=82");
        assert_eq!(ports["ports"], json!([80, 81, 82]));
        assert_eq!(ports["kind"], "PodPortForwardOptions");
        let proxied = read(&target("services", "proxy"), "/a/b", "x=y");
        assert_eq!(
            proxied,
            json!({"kind": "ServiceProxyOptions", "apiVersion": "v1", "path": "/a/b"})
        );
        assert_eq!(
            write(&proxied, "x=y"),
            ("/a/b".to_owned(), "x=y".to_owned())
        );
    }
}
