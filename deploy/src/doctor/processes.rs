//! Whether the processes that a host is to have run, are well, and listen.

use std::collections::BTreeSet;

use super::Line;
use super::facts::Facts;
use crate::components::health_port;

/// A process by its name, and why it is not well.
pub type Health = (String, Result<(), String>);

/// Of each process how it is, and one line if all are well.
pub fn check(all: &[Health], restart: &str) -> Vec<Line> {
    const WHAT: &str = "processes";
    let bad = all.iter().filter_map(|(name, health)| {
        let why = health.as_ref().err()?;
        let way_out = format!("see why, and start it again:  {restart} {name}");
        Some(Line::bad(WHAT, format!("{name}: {why}"), way_out))
    });
    let bad: Vec<Line> = bad.collect();
    match bad.is_empty() {
        true => {
            let names: Vec<&str> = all.iter().map(|it| it.0.as_str()).collect();
            vec![Line::good(WHAT, format!("{} are well", names.join(", ")))]
        }
        false => bad,
    }
}

/// Whether the health ports of these processes are listened on.
pub fn ports(facts: &Facts, processes: &[String]) -> Line {
    const WHAT: &str = "ports";
    let listening = listening(facts);
    let wanted = processes
        .iter()
        .filter_map(|name| Some((name, health_port(name)?)));
    let silent: Vec<String> = wanted
        .filter(|(_, port)| !listening.contains(port))
        .map(|(name, port)| format!("{port} ({name})"))
        .collect();
    match silent.is_empty() {
        true => Line::good(WHAT, "every process has its own"),
        false => Line::bad(
            WHAT,
            format!("nobody listens on {}", silent.join(", ")),
            "see the process' log",
        ),
    }
}

/// Ports of the listening sockets.
fn listening(facts: &Facts) -> BTreeSet<u16> {
    let port = |line: &String| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let (_, port) = local.rsplit_once(':')?;
        (state == "0A").then(|| u16::from_str_radix(port, 16).ok())?
    };
    facts.lines("listening").iter().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn who_is_ill_or_silent_is_told() {
        let ill = [
            ("kubelet".to_owned(), Err("not started".to_owned())),
            ("proxy".to_owned(), Ok(())),
        ];
        let told = check(&ill, "hardway restart");
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].says, "kubelet: not started");
        let well = [("proxy".to_owned(), Ok(()))];
        assert_eq!(check(&well, "")[0].state, State::Good);
        let facts =
            Facts::parse("[listening]\n  sl local\n   0: 0100007F:280A 00000000:0000 0A 0\n");
        assert_eq!(ports(&facts, &["kubelet".to_owned()]).state, State::Good);
        assert_eq!(
            ports(&facts, &["proxy".to_owned()]).says,
            "nobody listens on 10256 (proxy)"
        );
    }
}
