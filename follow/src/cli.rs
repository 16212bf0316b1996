//! What is asked for.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Shows what a request becomes, across the processes of the cluster.
///
/// Exit codes: 0 all that was followed is ready (or done, or gone); 1 it could not be followed;
/// 2 wrong arguments; 3 it failed or was refused; 4 it took longer than --timeout.
#[derive(Debug, Parser)]
#[command(name = "hardway-follow", version)]
#[command(override_usage = "hardway-follow [OPTIONS] KIND/NAME
       hardway-follow [OPTIONS] -- COMMAND [ARGUMENT]…")]
pub struct Arguments {
    /// Kubeconfig file; otherwise KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; otherwise its current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace of the object; otherwise the context's.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// How long to follow, such as 90s or 5m.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub timeout: Duration,
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Shows every step, those that change nothing as well.
    #[arg(long)]
    pub all: bool,
    /// What to follow: the object of an earlier request, as kubectl names it.
    #[arg(value_name = "KIND/NAME", required_unless_present = "command", value_parser = object)]
    pub object: Option<(String, String)>,
    /// What to run and follow: kubectl, or another client written in Go.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "object")]
    pub command: Vec<String>,
}

/// How to show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A timeline, for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

fn object(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((kind.to_owned(), name.to_owned()))
        }
        _ => Err("an object is named KIND/NAME, such as deployment/web".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: say 90s, 5m or 1h");
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let all = number
        .checked_mul(seconds)
        .filter(|all| *all <= 7 * 24 * 3600);
    all.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_or_a_command() {
        let parse = |arguments: &str| {
            let program = ["hardway-follow"].into_iter();
            Arguments::try_parse_from(program.chain(arguments.split(' ')))
        };
        let web = parse("-n shop --timeout 2m deployment/web").unwrap();
        assert_eq!(web.object, Some(("deployment".into(), "web".into())));
        assert_eq!(web.timeout, Duration::from_secs(120));
        let create = parse("-o json -- kubectl create -f web.yml").unwrap();
        assert_eq!(create.command, ["kubectl", "create", "-f", "web.yml"]);
        for wrong in [
            "-n shop",
            "web",
            "pod/a -- kubectl get",
            "--timeout x pod/a",
            "pod/a/b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
