//! `hardway addons list|enable|disable`: what runs in the cluster itself.

use anstream::{eprintln, print, println};
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use crate::addons::availability::State;
use crate::addons::chosen::Chosen;
use crate::addons::{self, ADDONS, Addon, availability, ownership, removal};
use crate::call;
use crate::compile::{self, Profile};
use crate::failure::{Failure, Result};
use crate::host::cluster::Cluster;
use crate::images::oci::Written;
use crate::images::publish;
use crate::lab::{self, Lab};
use crate::output::{Format, table};
use crate::progress::Progress;

/// What to do with add-ons.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Show which there are, and how they are
    List {
        /// As a table, or as JSON
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Bring add-ons into the cluster, and wait until they are available
    Enable {
        /// Their names
        #[arg(required = true, value_parser = PossibleValuesParser::new(addons::names()))]
        name: Vec<String>,
    },
    /// Take add-ons out of the cluster, with all objects that were made for them
    Disable {
        /// Their names
        #[arg(required = true, value_parser = PossibleValuesParser::new(addons::names()))]
        name: Vec<String>,
        /// Even one that others need
        #[arg(long)]
        force: bool,
    },
}

/// Does it.
pub fn run(lab: &Lab, action: &Action) -> Result<()> {
    match action {
        Action::List { output } => list(lab, *output),
        Action::Enable { name } => {
            let addons: Result<Vec<_>> = name.iter().map(|name| addons::find(name)).collect();
            let _lock = lab::lock(&lab.folder)?;
            enable(lab, &addons?)
        }
        Action::Disable { name, force } => {
            let addons: Result<Vec<_>> = name.iter().map(|name| addons::find(name)).collect();
            let addons = addons?;
            refuse_needed(&addons, *force)?;
            let _lock = lab::lock(&lab.folder)?;
            disable(lab, &addons)
        }
    }
}

/// Nothing is disabled if one of them is needed.
fn refuse_needed(addons: &[&'static Addon], force: bool) -> Result<()> {
    let needed = addons.iter().find_map(|addon| {
        let reason = addon.needed_for?;
        Some((addon.name, reason))
    });
    match needed {
        Some((name, reason)) if !force => {
            Err(
                Failure::new(format!("disable add-on {name}"), reason).way_out(format!(
                    "mean it: {} addons disable {name} --force",
                    call::tool()
                )),
            )
        }
        _ => Ok(()),
    }
}

fn enable(lab: &Lab, addons: &[&'static Addon]) -> Result<()> {
    let mut api = lab.api();
    for addon in addons {
        ownership::refuse_others(&mut api, addon)?;
    }
    let progress = Progress::new();
    let missing: Vec<&str> = addons
        .iter()
        .map(|addon| addon.package())
        .filter(|package| !lab.binaries.join(package).is_file())
        .collect();
    if !missing.is_empty() {
        let profile = match lab.binaries.ends_with("release") {
            true => Profile::Release,
            false => Profile::Debug,
        };
        progress.step("programs built", || {
            compile::components(profile, &missing, None)
        })?;
    }
    let folder = lab.folder.join("images");
    let images = progress.step("images in the registry", || {
        let images: Result<Vec<_>> = addons
            .iter()
            .map(|addon| addon.image(&lab.binaries)?.write(&folder))
            .collect();
        let images = images?;
        publish::publish(lab, &images)?;
        Ok(Built(images))
    })?;
    let cluster = Cluster::at(lab.plan.control_plane().address);
    progress.step("objects", || {
        addons::apply(&mut api, &cluster, &images.0, addons)
    })?;
    // Remembered before they are available: another try repeats them.
    let mut chosen = Chosen::read(&lab.folder)?;
    for addon in addons {
        chosen.set(addon, true);
    }
    chosen.write(&lab.folder)?;
    progress.step("available", || addons::wait(&mut api, addons))?;
    Ok(())
}

fn disable(lab: &Lab, addons: &[&'static Addon]) -> Result<()> {
    let progress = Progress::new();
    let mut api = lab.api();
    let mut chosen = Chosen::read(&lab.folder)?;
    for addon in addons {
        chosen.set(addon, false);
    }
    // A next start must not bring back what is half gone.
    chosen.write(&lab.folder)?;
    for addon in addons {
        if addon.name == "local-path" {
            warn_of_volumes(&api)?;
        }
        let removed = progress.step(addon.name, || {
            let removed = removal::remove(&mut api, addon)?;
            Ok(Gone(removed))
        })?;
        for object in removed.0.left {
            println!("    left {object}");
        }
    }
    Ok(())
}

/// Volumes stay, but nobody clears their folders when they are released.
fn warn_of_volumes(api: &crate::api::Api) -> Result<()> {
    let volumes = api.get("/api/v1/persistentvolumes")?.unwrap_or_default();
    let volumes = volumes["items"].as_array().into_iter().flatten();
    let count = volumes
        .filter(|volume| volume["spec"]["storageClassName"] == "local-path")
        .count();
    if count > 0 {
        eprintln!(
            "warning: {count} volumes of the class local-path stay; what is released is not removed until the add-on is back"
        );
    }
    Ok(())
}

struct Built(Vec<Written>);

impl crate::progress::Outcome for Built {
    fn describe(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|image| image.name.as_str()).collect();
        format!(": {}", names.join(", "))
    }
}

struct Gone(removal::Removed);

impl crate::progress::Outcome for Gone {
    fn describe(&self) -> String {
        match self.0.deleted {
            0 => ": it was not there".to_owned(),
            count => format!(": {count} objects deleted"),
        }
    }
}

/// How an add-on is, in one word as minikube's scripts know it, and in more.
fn describe(state: &State) -> (&'static str, String) {
    match state {
        State::Absent => ("disabled", "-".to_owned()),
        State::Present(None) => ("enabled", "available".to_owned()),
        State::Present(Some(lacking)) => ("enabled", lacking.clone()),
    }
}

fn list(lab: &Lab, format: Format) -> Result<()> {
    let mut api = lab.api();
    let states: Result<Vec<_>> = ADDONS
        .iter()
        .map(|addon| Ok((addon, availability::state(&mut api, addon)?)))
        .collect();
    let states = states?;
    match format {
        Format::Json => println!("{:#}", as_json(&states)),
        Format::Table => print!("{}", table(&rows(&states))),
    }
    Ok(())
}

fn rows(states: &[(&Addon, State)]) -> Vec<[String; 4]> {
    let mut rows = vec![["ADD-ON", "STATUS", "PODS", "WHAT IT IS FOR"].map(str::to_owned)];
    rows.extend(states.iter().map(|(addon, state)| {
        let (status, pods) = describe(state);
        [addon.name, status, &pods, addon.description].map(str::to_owned)
    }));
    rows
}

/// By name, as minikube prints it.
fn as_json(states: &[(&Addon, State)]) -> Value {
    let entry = |(addon, state): &(&Addon, State)| {
        let (status, pods) = describe(state);
        let value = json!({
            "Status": status,
            "Pods": pods,
            "Description": addon.description,
            "Default": addon.by_default,
        });
        (addon.name.to_owned(), value)
    };
    Value::Object(states.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sees_how_each_is() {
        let dns = addons::find("dns").unwrap();
        let metrics = addons::find("metrics-server").unwrap();
        let lacking = "0 of 2 replicas are available".to_owned();
        let states = [
            (dns, State::Present(Some(lacking.clone()))),
            (metrics, State::Absent),
        ];
        let rows = rows(&states);
        assert_eq!(rows[1][..3], ["dns", "enabled", &lacking]);
        assert_eq!(rows[2][..3], ["metrics-server", "disabled", "-"]);
        let value = as_json(&states);
        assert_eq!(value["metrics-server"]["Status"], "disabled");
        assert_eq!(value["dns"]["Pods"], lacking);
    }

    #[test]
    fn what_others_need_is_kept_unless_it_is_meant() {
        let all: Vec<&'static Addon> = ADDONS.iter().collect();
        let failure = refuse_needed(&all, false).unwrap_err();
        assert_eq!(failure.what, "disable add-on dns");
        assert_eq!(refuse_needed(&all, true), Ok(()));
        let metrics = [addons::find("metrics-server").unwrap()];
        assert_eq!(refuse_needed(&metrics, false), Ok(()));
    }
}
