//! Which channel of the client is which stream of the kubelet.

use crate::spdy::Headers;
use crate::websocket::{ERROR, RESIZE, STDERR, STDIN, STDOUT};
use hardway_proto::Status;

/// One channel and its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    /// The channel's number.
    pub index: u8,
    /// The stream's number.
    pub stream: u32,
    /// The headers that say what the stream is.
    pub headers: Headers,
    /// Whether the client may write to it.
    pub writable: bool,
    /// Whether the client gets what comes from it.
    pub readable: bool,
}

/// All channels of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(super) channels: Vec<Channel>,
    /// exec or attach, rather than port-forward.
    pub(super) command: bool,
    ports: Vec<u16>,
}

impl Plan {
    fn new(command: bool) -> Self {
        Self {
            channels: Vec::new(),
            command,
            ports: Vec::new(),
        }
    }

    fn add(&mut self, index: u8, headers: &[(&str, &str)], writable: bool, readable: bool) {
        let stream = self.channels.len() as u32 * 2 + 1;
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        self.channels.push(Channel {
            index,
            stream,
            headers: headers.collect(),
            writable,
            readable,
        });
    }

    /// exec and attach: the streams that the kubelet's query asks for.
    pub(crate) fn command(path_and_query: &str) -> Self {
        let query = path_and_query.split_once('?').map_or("", |(_, q)| q);
        let has = |names: [&str; 2]| {
            let mut pairs = query
                .split('&')
                .map(|p| p.split_once('=').unwrap_or((p, "")));
            pairs.any(|(name, value)| names.contains(&name) && matches!(value, "1" | "true"))
        };
        let tty = has(["tty", "tty"]);
        let mut plan = Self::new(true);
        let mut add =
            |index, kind, writable| plan.add(index, &[("streamtype", kind)], writable, !writable);
        add(ERROR, "error", false);
        if has(["input", "stdin"]) {
            add(STDIN, "stdin", true);
        }
        if has(["output", "stdout"]) {
            add(STDOUT, "stdout", false);
        }
        // A terminal has one output.
        if has(["error", "stderr"]) && !tty {
            add(STDERR, "stderr", false);
        }
        if tty {
            add(RESIZE, "resize", true);
        }
        plan
    }

    /// port-forward of clients that don't tunnel SPDY: two channels for each
    /// port, data and error.
    pub(crate) fn ports(query: &str) -> Result<Self, Status> {
        let wrong = |text: &str| {
            Status::bad_request(format!(
                "unable to parse {text:?} as a port: use ports=80,443"
            ))
        };
        let mut plan = Self::new(false);
        let values = query.split('&').filter_map(|p| p.strip_prefix("ports="));
        for text in values.flat_map(|v| v.split(',').flat_map(|v| v.split("%2C"))) {
            let port: u16 = text.parse().map_err(|_| wrong(text))?;
            if port == 0 || plan.ports.len() >= 100 {
                return Err(wrong(text));
            }
            plan.ports.push(port);
        }
        if plan.ports.is_empty() {
            return Err(Status::bad_request("query parameter \"ports\" is required"));
        }
        for (request, port) in plan.ports.clone().into_iter().enumerate() {
            let (port, id) = (port.to_string(), request.to_string());
            let common = [("port", port.as_str()), ("requestid", id.as_str())];
            let headers = |kind| [("streamtype", kind), common[0], common[1]];
            let channel = request as u8 * 2;
            // The kubelet wants the error stream first.
            plan.add(channel + 1, &headers("error"), false, true);
            plan.add(channel, &headers("data"), true, true);
        }
        Ok(plan)
    }

    /// What the client expects on a channel before anything else: for a
    /// command an empty message, for ports their numbers.
    pub(super) fn greetings(&self) -> Vec<(u8, Vec<u8>)> {
        if self.command {
            let has = |index: u8| self.channels.iter().any(|c| c.index == index);
            let first = [STDOUT, STDERR].into_iter().find(|index| has(*index));
            return vec![(first.unwrap_or(ERROR), Vec::new())];
        }
        let ports = self.ports.iter().enumerate();
        ports
            .flat_map(|(request, port)| {
                let number = port.to_le_bytes().to_vec();
                let channel = request as u8 * 2;
                [(channel, number.clone()), (channel + 1, number)]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(plan: &Plan) -> Vec<String> {
        let kind = |c: &Channel| format!("{} {}", c.stream, c.headers[0].1);
        plan.channels.iter().map(kind).collect()
    }

    #[test]
    fn a_command_has_the_streams_it_asks_for() {
        let plan = Plan::command("/exec/default/web/app?command=sh&input=1&output=1&error=1");
        assert_eq!(kinds(&plan), ["1 error", "3 stdin", "5 stdout", "7 stderr"]);
        assert_eq!(plan.greetings(), [(STDOUT, vec![])]);
        let plan = Plan::command("/exec/default/web/app?command=sh&input=1&output=1&error=1&tty=1");
        assert_eq!(kinds(&plan), ["1 error", "3 stdin", "5 stdout", "7 resize"]);
    }

    #[test]
    fn ports_have_two_streams_each() {
        let plan = Plan::ports("ports=80,8080").unwrap();
        assert_eq!(kinds(&plan), ["1 error", "3 data", "5 error", "7 data"]);
        assert_eq!(plan.channels[3].index, 2);
        assert_eq!(
            plan.channels[3].headers[1..],
            [
                ("port".to_owned(), "8080".to_owned()),
                ("requestid".to_owned(), "1".to_owned())
            ]
        );
        assert_eq!(plan.greetings()[0], (0, vec![80, 0]));
        for wrong in ["", "ports=", "ports=0", "ports=x", "ports=70000"] {
            assert!(Plan::ports(wrong).is_err(), "{wrong}");
        }
    }
}
