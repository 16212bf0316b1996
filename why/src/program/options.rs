//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::Failure;

/// Tells why an object of a cluster is not well, or, without one, everything that is wrong.
///
/// It only reads, and works with any Kubernetes by a kubeconfig. What the user may not read
/// it says at the end. Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be found
/// out.
#[derive(Debug, Parser)]
#[command(name = "hardway-why", bin_name = "hardway why", version)]
pub struct Options {
    /// What is not well: KIND/NAME, or KIND NAME. Kinds as for kubectl: pod, po, deployments.apps
    #[arg(value_name = "KIND/NAME", num_args = 0..=2)]
    words: Vec<String>,
    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Everything that is wrong in all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// The kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// How it is told
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// How many seconds the cluster may take in all
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line, and the chain below
    Text,
    /// The same as JSON
    Json,
}

impl Options {
    /// Kind and name as they were written; nothing if all is asked about.
    pub fn subject(&self) -> Result<Option<(String, String)>, Failure> {
        let usage = |why: &str| {
            let way_out = "write it as kubectl does:  hardway why pod/web, or  hardway why pod web";
            Err(Failure::new("read the command line", why, way_out))
        };
        if !self.words.is_empty() && self.all_namespaces {
            return usage("one object is in one namespace: -A goes without one");
        }
        match self.words.as_slice() {
            [] => Ok(None),
            [word] => match word.split_once('/') {
                Some((kind, name))
                    if !kind.is_empty() && !name.is_empty() && !name.contains('/') =>
                {
                    Ok(Some((kind.to_owned(), name.to_owned())))
                }
                _ => usage(&format!("{word:?} is no KIND/NAME")),
            },
            [kind, name, ..] if !kind.contains('/') && !name.contains('/') => {
                Ok(Some((kind.clone(), name.clone())))
            }
            _ => usage("one object at a time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(words: &[&str]) -> Option<Option<(String, String)>> {
        let all = ["hardway-why"].iter().chain(words);
        Options::try_parse_from(all).ok()?.subject().ok()
    }

    #[test]
    fn objects_are_named_as_for_kubectl() {
        use clap::CommandFactory;
        Options::command().debug_assert();
        let pod = Some(Some(("pod".to_owned(), "web".to_owned())));
        assert_eq!(subject(&["pod/web"]), pod);
        assert_eq!(subject(&["pod", "web", "-n", "x"]), pod);
        assert_eq!(subject(&[]), Some(None));
        for bad in [
            &["pod"][..],
            &["pod/"],
            &["a/b/c"],
            &["pod/a", "pod/b"],
            &["-A", "pod/a"],
            &["-A", "-n", "x"],
        ] {
            assert_eq!(subject(bad), None, "{bad:?}");
        }
    }
}
