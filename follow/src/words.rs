//! What happened, for people.

use crate::line::Step;
use crate::moment::Moment;
use crate::story::Entry;

/// What happened, in a line.
pub fn say(entry: &Entry) -> String {
    match entry.moment.is_request() {
        true => request(&entry.moment, entry.is_cause),
        false => step(entry.moment.head()),
    }
}

/// Whether only who wants to see everything wants to see this.
pub fn is_routine(entry: &Entry) -> bool {
    let head = entry.moment.head();
    match head.what.as_str() {
        "heard" => head.detail("change") == "modified",
        // What a status says is told by who found it out.
        "request" => {
            !entry.is_cause
                && (head.detail("subresource") == "status" || entry.moment.stored().is_none())
                && is_well(head)
        }
        // The scheduler's own step says the same.
        "warned" => head.detail("reason") == "FailedScheduling",
        _ => false,
    }
}

fn is_well(request: &Step) -> bool {
    request.detail("code").starts_with('2')
}

/// `0.4 ms`, `1.25 s`.
pub fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds >= 0.9995 => format!("{seconds:.2} s"),
        _ if seconds >= 0.00995 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{:.1} ms", seconds * 1e3),
    }
}

fn request(moment: &Moment, is_cause: bool) -> String {
    let head = moment.head();
    let verb = match (head.detail("verb"), head.detail("subresource")) {
        (verb, "") => verb.to_owned(),
        (verb, subresource) => format!("{verb} {subresource}"),
    };
    let mut text = format!("{verb} by {}", head.detail("user"));
    if is_cause {
        let agent = head.detail("agent").split(' ').next().unwrap_or_default();
        let (protocol, from) = (head.detail("protocol"), head.detail("from"));
        let identity = head.detail("identity");
        text.push_str(&format!(" ({identity}, {agent}, {protocol} from {from})"));
    }
    if head.details.contains_key("dryRun") {
        text.push_str(", dry run");
    }
    if !is_well(head) {
        text.push_str(&format!(
            ": {} {}",
            head.detail("code"),
            head.detail("reason")
        ));
        // After a semicolon Kubernetes' messages say what to do, which whoever asked does.
        let message = head.detail("message").split(';').next().unwrap_or_default();
        for part in [message, head.detail("fields")] {
            if !part.is_empty() {
                text.push_str(&format!(": {part}"));
            }
        }
        return text;
    }
    text.push_str(&format!(" in {}", time(head.seconds)));
    let mut parts = Vec::new();
    if is_cause && let Some(step) = moment.step("authorized") {
        let reason = step.detail("reason");
        let by = if reason.is_empty() { "" } else { ": " };
        parts.push(format!("authorization {}{by}{reason}", time(step.seconds)));
    }
    if is_cause && let Some(step) = moment.step("seated") {
        let level = step.detail("priorityLevel");
        parts.push(format!("turn {} at level {level}", time(step.seconds)));
    }
    let admission = moment.spent("admission");
    if admission > 0.0 {
        parts.push(format!("admission {}{}", time(admission), plugins(moment)));
    }
    if let Some(step) = moment.stored() {
        let what = if step.what == "removed" {
            " without it"
        } else {
            ""
        };
        let revision = step.detail("revision");
        parts.push(format!(
            "etcd {}, revision {revision}{what}",
            time(step.seconds)
        ));
    }
    if !parts.is_empty() {
        text.push_str(&format!(" ({})", parts.join("; ")));
    }
    text
}

/// The plugins, webhooks and policies that took time or had something to say.
fn plugins(moment: &Moment) -> String {
    let admissions = moment
        .steps()
        .iter()
        .filter(|step| step.what == "admission");
    let told: Vec<String> = admissions
        .flat_map(|step| &step.details)
        .filter(|(name, _)| !matches!(name.as_str(), "phase" | "plugins"))
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    match told.is_empty() {
        true => String::new(),
        false => format!(": {}", told.join(", ")),
    }
}

fn step(step: &Step) -> String {
    let (of, took) = (|name: &str| step.detail(name), time(step.seconds));
    let with = |name: &str, before: &str| match of(name) {
        "" => String::new(),
        value => format!("{before}{value}"),
    };
    match step.what.as_str() {
        "heard" => format!(
            "hears that it was {}{}",
            of("change"),
            with("revision", ", revision ")
        ),
        "reconciled" => format!(
            "{} looks at {} and makes {} in {took}{}",
            of("controller"),
            of("key"),
            calls(of("calls")),
            with("error", "; it will try again: ")
        ),
        "scheduled" => {
            let rejected = with("rejected", "; rejected: ");
            let scores = with("scores", ": ");
            let (node, nodes, feasible) = (of("node"), of("nodes"), of("feasible"));
            format!(
                "chooses {node}: {feasible} of {nodes} nodes would do{scores}{rejected}; in {took}"
            )
        }
        "unschedulable" => format!(
            "finds no node: {}{}",
            of("message"),
            with("nominated", "; others go on ")
        ),
        "volumes" => match of("count") {
            "1" => format!("1 volume is there in {took}"),
            count => format!("{count} volumes are there in {took}"),
        },
        "sandbox" => format!(
            "sandbox and its network in {took}{}",
            with("runtimeHandler", ", by ")
        ),
        "image" => match of("error") {
            "" => format!("image {} is there in {took}", of("image")),
            error => format!("no image {}: {error}", of("image")),
        },
        "pulled" => format!("pulls image {} in {took}", of("image")),
        "created" => format!("container {} is created in {took}", of("container")),
        "started" => match of("restarts") {
            "" | "0" => format!("container {} is started in {took}", of("container")),
            restarts => format!(
                "container {} is started in {took}, restart {restarts}",
                of("container")
            ),
        },
        "probe" => format!(
            "{} probe of container {} {}",
            of("kind").to_lowercase(),
            of("container"),
            of("verdict")
        ),
        "status" => {
            let ready = if of("ready") == "true" { ", ready" } else { "" };
            format!(
                "is {}{ready}{}{}",
                of("phase"),
                with("address", ", at "),
                with("reason", ": ")
            )
        }
        "stopped" => format!("container {} is stopped in {took}", of("container")),
        "sandbox stopped" => format!("sandbox and its network are gone in {took}"),
        "nftables" => format!(
            "nftables: {} elements added, {} removed, in {took}",
            of("added"),
            of("removed")
        ),
        "route" => format!("has a route to {} in {took}", of("subnet")),
        "name" => format!("answers {}{}", of("name"), with("addresses", " with ")),
        "name removed" => format!("does not answer {} any more", of("name")),
        "warned" => format!("warns: {}: {}", of("reason"), of("message")),
        "event" => format!("{}: {}", of("reason"), of("message")),
        // What later versions tell.
        what => {
            let details = step
                .details
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            format!("{what}{}", details.collect::<String>())
        }
    }
}

fn calls(count: &str) -> String {
    match count {
        "1" => "1 call".to_owned(),
        count => format!("{count} calls"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Assembler;

    fn made(what: &str, seconds: f64, details: &[(&str, &str)]) -> Step {
        let details = details
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Step {
            what: what.into(),
            seconds,
            details: details.collect(),
            ..Step::default()
        }
    }

    fn entry(steps: Vec<Step>, is_cause: bool) -> Entry {
        let mut assembler = Assembler::default();
        for step in steps {
            assert_eq!(assembler.push(step), None);
        }
        Entry {
            depth: 0,
            is_cause,
            moment: assembler.flush().unwrap(),
        }
    }

    #[test]
    fn a_request_is_told_from_the_door_to_etcd() {
        let request = [
            ("verb", "create"),
            ("user", "jane"),
            ("identity", "client certificate"),
            ("agent", "kubectl.1/v1.33.1 (linux/amd64)"),
            ("protocol", "REST"),
            ("from", "10.0.0.1"),
            ("code", "201"),
        ];
        let steps = vec![
            made("request", 0.0061, &request),
            made("authorized", 0.0001, &[("reason", "RBAC: allowed")]),
            made(
                "admission",
                0.0004,
                &[("phase", "mutating"), ("plugins", "9"), ("Slow", "0.3 ms")],
            ),
            made(
                "admission",
                0.0004,
                &[("phase", "validating"), ("plugins", "9")],
            ),
            made("stored", 0.004, &[("revision", "7")]),
        ];
        assert_eq!(
            say(&entry(steps.clone(), true)),
            "create by jane (client certificate, kubectl.1/v1.33.1, REST from 10.0.0.1) in 6.1 ms \
             (authorization 0.1 ms: RBAC: allowed; admission 0.8 ms: Slow 0.3 ms; etcd 4.0 ms, revision 7)"
        );
        let other = entry(steps, false);
        let expected =
            "create by jane in 6.1 ms (admission 0.8 ms: Slow 0.3 ms; etcd 4.0 ms, revision 7)";
        assert_eq!(say(&other), expected);
        assert!(!is_routine(&other));
    }

    #[test]
    fn a_refusal_is_never_left_out() {
        let request = [
            ("verb", "patch"),
            ("subresource", "status"),
            ("user", "jane"),
            ("code", "409"),
            ("reason", "Conflict"),
            ("message", "it changed"),
        ];
        let refused = entry(vec![made("request", 0.001, &request)], false);
        assert_eq!(
            say(&refused),
            "patch status by jane: 409 Conflict: it changed"
        );
        assert!(!is_routine(&refused));
    }

    #[test]
    fn times_are_as_exact_as_people_want() {
        for (seconds, expected) in [
            (0.000_04, "0.0 ms"),
            (0.0099, "9.9 ms"),
            (0.0123, "12 ms"),
            (0.9994, "999 ms"),
            (1.256, "1.26 s"),
        ] {
            assert_eq!(time(seconds), expected);
        }
    }

    #[test]
    fn choices_and_what_is_new_are_told() {
        let chosen = made(
            "scheduled",
            0.0004,
            &[
                ("node", "w1"),
                ("nodes", "3"),
                ("feasible", "2"),
                ("scores", "w1 312, w2 287"),
                ("rejected", "1 TaintToleration"),
            ],
        );
        assert_eq!(
            step(&chosen),
            "chooses w1: 2 of 3 nodes would do: w1 312, w2 287; rejected: 1 TaintToleration; in 0.4 ms"
        );
        assert_eq!(
            step(&made("danced", 0.0, &[("how", "well")])),
            "danced how=well"
        );
    }
}
