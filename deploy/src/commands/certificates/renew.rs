//! `hardway certificates renew`: once a day on the control plane, by the timer
//! `hardway-certificates.timer`; or by hand, also in a lab.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anstream::println;
use jiff::Timestamp;

use crate::failure::Result;
use crate::host::{Layout, control_plane, token};
use crate::lab::{Lab, identities};
use crate::pki::{self, Renewed, YEAR};

/// How certificates are to be renewed.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Every certificate, however young
    #[arg(long)]
    pub all: bool,
    /// How long the new ones are good: 8760h, 10m, 90s [default: a year]
    #[arg(long, value_name = "TIME", value_parser = life)]
    pub valid_for: Option<Duration>,
    /// Root of the host's file system
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
}

impl Options {
    fn life(&self) -> Duration {
        self.valid_for.unwrap_or(YEAR)
    }
}

fn life(text: &str) -> std::result::Result<Duration, String> {
    match token::life(text) {
        Ok(Duration::ZERO) => Err("no certificate is good for ever".to_owned()),
        other => other,
    }
}

/// Renews them, and tells until when each is good.
pub fn run(options: &Options, lab: Option<&Lab>) -> Result<()> {
    let now = SystemTime::now();
    let done = match lab {
        Some(lab) => of_lab(lab, options, now)?,
        None => {
            let layout = Layout::new(&options.root);
            control_plane::renew(&layout, now, options.life(), options.all)?
        }
    };
    for it in &done {
        let word = if it.is_new { "renewed" } else { "kept" };
        let ends = Timestamp::from_second(it.ends).unwrap_or(Timestamp::MAX);
        println!("{:<34}{word:<10}good until {ends}", it.file);
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let next_year = (since + YEAR).as_secs().cast_signed();
    for ca in done
        .iter()
        .filter(|it| {
            [pki::CLUSTER_CA, pki::ETCD_CA, pki::FRONT_PROXY_CA].contains(&it.file.as_str())
        })
        .filter(|it| it.ends < next_year)
    {
        println!(
            "warning: the CA {} ends within a year, and all that it has signed with it",
            ca.file
        );
    }
    Ok(())
}

fn of_lab(lab: &Lab, options: &Options, now: SystemTime) -> Result<Vec<Renewed>> {
    identities::renew(lab, now, options.life(), options.all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn lab() -> (tempfile::TempDir, Lab) {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab {
            folder: folder.path().to_owned(),
            plan: Plan::of_lab(0, 1),
            binaries: PathBuf::new(),
            internet: false,
            only: Vec::new(),
            swapped: std::collections::BTreeMap::new(),
            ready: None,
        };
        (folder, lab)
    }

    #[test]
    fn the_administrators_kubeconfig_has_the_new_certificate() {
        let (_folder, lab) = lab();
        let (pki, now) = (lab.pki(), SystemTime::now());
        pki.ensure(&lab.plan.hosts(), now).unwrap();
        let mut options = Options {
            all: false,
            valid_for: Some(Duration::from_secs(600)),
            root: PathBuf::from("/"),
        };
        let renewed = |options: &Options, now| -> usize {
            let done = of_lab(&lab, options, now).unwrap();
            done.iter().filter(|it| it.is_new).count()
        };
        let admin = || std::fs::read_to_string(lab.kubeconfigs().join("admin.kubeconfig"));
        assert_eq!(renewed(&options, now), 0);
        let first = admin().unwrap();
        options.all = true;
        assert_eq!(renewed(&options, now), pki::leaves(&lab.plan.hosts()).len());
        assert_ne!(admin().unwrap(), first);
        let second = admin().unwrap();
        options.all = false;
        assert_eq!(renewed(&options, now + Duration::from_secs(300)), 0);
        assert!(renewed(&options, now + Duration::from_secs(500)) > 0);
        assert_ne!(admin().unwrap(), second);
    }

    #[test]
    fn a_host_that_is_no_control_plane_is_told_so() {
        let root = tempfile::tempdir().unwrap();
        let options = Options {
            all: false,
            valid_for: None,
            root: root.path().to_owned(),
        };
        let failure = run(&options, None).unwrap_err();
        assert!(failure.way_out.unwrap().contains("hardway init"));
        assert!(life("0").is_err());
        assert_eq!(life("10m"), Ok(Duration::from_secs(600)));
    }
}
