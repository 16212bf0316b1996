//! Keys that others believe in, replaced without a failed request: CAs, and the key that signs
//! tokens of service accounts.
//!
//! [`steps`] says what is next from what is there, [`material`] is the files, [`gates`] sees in
//! the cluster whether all others have come along, [`place`] is the host or the lab whose files
//! are changed. Where there are several control planes each host does its own part; what they
//! wait for is each other, as they see each other from outside.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anstream::println;
use serde_json::json;

use crate::api::text;
use crate::failure::{Failure, Result};
use crate::pki::Pki;

pub mod control_planes;
pub mod encryption;
pub mod gates;
pub mod material;
pub mod missing;
mod observe;
pub mod options;
pub mod place;
mod probe;
pub mod steps;
mod window;

use control_planes::Without;
use gates::{Gates, front_proxy_ca};
use material::{Kind, Material, blocks, id, short};
use missing::Missing;
use place::Place;
use steps::{Gate, Goal, Stage, Step};

/// How often the cluster is looked at while it is waited for.
const LOOK: Duration = Duration::from_secs(1);
/// How long what is published may take to get into pods, and to API servers beside ours.
const ARRIVAL: Duration = Duration::from_secs(3);
/// So many of those who are waited for are named.
const NAMED: usize = 10;

/// How a rotation is to go on.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// What is rotated.
    pub kinds: Vec<Kind>,
    /// How far.
    pub goal: Goal,
    /// Whether one that isn't under way is begun.
    pub begins: bool,
    /// Who isn't waited for.
    pub without: Without,
    /// For how long nobody may have shown anything of a former one before it is dropped.
    pub unused_for: Duration,
    /// How long to wait for others.
    pub patience: Duration,
    /// What to type to go on.
    pub command: &'static str,
}

impl Rotation {
    /// Goes as far as the goal says, or until somebody isn't there in time. `made` is called once
    /// when next keys were made here, for them to get to other hosts.
    ///
    /// # Errors
    /// With who isn't there, or what couldn't be done; typed again it goes on.
    pub fn run(&self, place: &Place, mut made: impl FnMut() -> Result<()>) -> Result<()> {
        let pki = place.pki();
        let mut gates = Gates::new(place, &self.without, self.unused_for);
        let mut deadline = Instant::now() + self.patience;
        let mut named = Vec::new();
        let mut finished: Vec<Kind> = Vec::new();
        let (mut makes, mut has_restarted) = (false, false);
        place.check(&self.without)?;
        self.catch_up(place)?;
        loop {
            let (mut shut, mut moved) = (Vec::new(), false);
            for kind in &self.kinds {
                let material = Material::new(&pki, *kind);
                while let Some((step, gate)) = self.next(&material, finished.contains(kind))? {
                    let missing = gates.missing(*kind, &gate)?;
                    // Stopped before its etcd had read whom to believe, which it does at its start.
                    let is_own = |it: &Missing| place.is_own_etcd(&it.who);
                    if matches!(gate, Gate::Believed(_))
                        && missing.iter().any(is_own)
                        && !std::mem::replace(&mut has_restarted, true)
                    {
                        place.restart_etcd()?;
                        continue;
                    }
                    if !missing.is_empty() {
                        shut.extend(missing.into_iter().map(|it| (*kind, it)));
                        break;
                    }
                    take(place, *kind, step)?;
                    makes |= step == Step::Make;
                    moved = true;
                    if material.state().map(|state| steps::stage(&state))? == Stage::Settled {
                        finished.push(*kind);
                    }
                }
            }
            if std::mem::take(&mut makes) {
                made()?;
            }
            if moved {
                deadline = Instant::now() + self.patience;
                continue;
            }
            if shut.is_empty() {
                return self.check_decided(&pki);
            }
            if Instant::now() > deadline {
                return Err(
                    Failure::new("go on", lines(&shut).join("\n  ")).way_out(format!(
                        "nothing is lost: type it again when that is mended:  {}",
                        self.command
                    )),
                );
            }
            let names: Vec<String> = shut.iter().map(|(_, it)| it.who.clone()).collect();
            if names != named {
                println!("  … waits for");
                lines(&shut)
                    .iter()
                    .for_each(|line| println!("      {line}"));
                named = names;
            }
            thread::sleep(LOOK);
        }
    }

    /// Refuses to call it done where one stays of which isn't known whether it is to go.
    fn check_decided(&self, pki: &Pki) -> Result<()> {
        for kind in &self.kinds {
            let state = Material::new(pki, *kind).state()?;
            if self.goal == Goal::Trust || !steps::is_undecided(&state) {
                continue;
            }
            let others = state.believed.iter().filter(|id| **id != state.signs);
            let others: Vec<&str> = others.map(|id| short(id)).collect();
            return Err(Failure::new(
                format!("replace {}", kind.name()),
                format!(
                    "whether {} is to sign or has signed before isn't known on this host: it hasn't its key",
                    others.join(", ")
                ),
            )
            .way_out(format!(
                "on a control plane that has it:  {0} --upload;  then here:  {0} --certificate-key KEY;  or, if nobody needs it, remove it from the file {1} of the pki folder by hand",
                self.command,
                match kind {
                    Kind::ServiceAccounts => "sa.pub".to_owned(),
                    _ => format!("{}.crt", kind.file()),
                }
            )));
        }
        Ok(())
    }

    /// Does what follows from the last step, after which somebody may have been stopped.
    fn catch_up(&self, place: &Place) -> Result<()> {
        let pki = place.pki();
        for kind in &self.kinds {
            if steps::stage(&Material::new(&pki, *kind).state()?) != Stage::Settled {
                place.settle(SystemTime::now())?;
                place.publish_cluster_info()?;
                break;
            }
        }
        match self.kinds.contains(&Kind::FrontProxyCa) {
            true => note_front_proxy(place),
            false => Ok(()),
        }
    }

    /// The next step of one of them; `is_finished` if it was brought to its end just now.
    fn next(&self, material: &Material<'_>, is_finished: bool) -> Result<Option<(Step, Gate)>> {
        let found = steps::next(&material.state()?, self.goal);
        let begins = self.begins && !is_finished;
        Ok(found.filter(|(step, _)| *step != Step::Make || begins))
    }
}

fn lines(shut: &[(Kind, Missing)]) -> Vec<String> {
    let mut all: Vec<String> = shut
        .iter()
        .take(NAMED)
        .map(|(kind, missing)| format!("{}: {missing}", kind.name()))
        .collect();
    if shut.len() > NAMED {
        all.push(format!("and {} more", shut.len() - NAMED));
    }
    all
}

/// Takes a step, and has everything on this host, and what the cluster publishes, follow it.
fn take(place: &Place, kind: Kind, step: Step) -> Result<()> {
    let (pki, now) = (place.pki(), SystemTime::now());
    let material = Material::new(&pki, kind);
    if step == Step::Make && is_under_way_elsewhere(place, kind, &material)? {
        return Err(Failure::new(
            format!("replace {}", kind.name()),
            "another control plane has begun to, with a key that isn't here",
        )
        .way_out("give the certificate key that was printed there:  --certificate-key KEY"));
    }
    let reads_at_start = kind == Kind::EtcdCa;
    // While the other one's file is there it is known that this is still to be done.
    let forgets = matches!(step, Step::ForgetFormer | Step::ForgetNext);
    if forgets && material.state()?.believed.len() == 1 {
        prune(place, kind, &material)?;
        if reads_at_start {
            place.restart_etcd()?;
        }
    }
    if step == Step::KeepFormer && kind != Kind::EtcdCa {
        thread::sleep(ARRIVAL);
    }
    material.apply(step, now)?;
    let state = material.state()?;
    println!("  ✓ {}: {}", kind.name(), word(step, &state));
    match step {
        Step::Believe => {
            place.settle(now)?;
            if reads_at_start {
                place.restart_etcd()?;
            }
        }
        Step::PutFirst | Step::Drop => {
            place.settle(now)?;
            if kind == Kind::FrontProxyCa {
                note_front_proxy(place)?;
            }
        }
        // What has been copied is copied again when it is in order.
        Step::Make
        | Step::KeepFormer
        | Step::KeepNext
        | Step::Switch
        | Step::SwitchBack
        | Step::ForgetNext
        | Step::ForgetFormer => {}
    }
    if kind == Kind::Ca && matches!(step, Step::Believe | Step::PutFirst | Step::Drop) {
        place.publish_cluster_info()?;
    }
    Ok(())
}

/// Lets other hosts know by which CA this one's front proxy is known, once its certificate is of
/// that. A lab's are changed together.
fn note_front_proxy(place: &Place) -> Result<()> {
    let Place::Host(host) = place else {
        return Ok(());
    };
    let state = Material::new(&place.pki(), Kind::FrontProxyCa).state()?;
    if state.believed.first() != Some(&state.signs) {
        return Ok(());
    }
    let note = front_proxy_ca::note_of_front_proxy(host.1.address.into(), &state.signs);
    place
        .api()
        .patch(front_proxy_ca::AUTHENTICATION, &note)
        .map(drop)
}

fn word(step: Step, state: &steps::State) -> String {
    let next = state.next.as_deref().map_or("", short);
    let (signs, former) = (
        short(&state.signs),
        state.former.as_deref().map_or("", short),
    );
    match step {
        Step::Make => format!("{next} is made"),
        Step::Believe => format!("{next} is believed along with {signs}"),
        Step::KeepFormer => format!("{former} is kept, for the way back"),
        Step::KeepNext => format!("{next} is kept"),
        Step::Switch | Step::SwitchBack => format!("{signs} signs"),
        Step::PutFirst => format!("{signs} is the first; what it has to sign is signed"),
        Step::ForgetNext if state.believed.len() > 1 => "the next one has its place".to_owned(),
        Step::Drop => format!("{signs} alone is believed"),
        Step::ForgetNext | Step::ForgetFormer => "done".to_owned(),
    }
}

/// Whether apiservers publish a CA that isn't known here: they put together those of all of
/// them.
fn is_under_way_elsewhere(place: &Place, kind: Kind, material: &Material<'_>) -> Result<bool> {
    let Some(field) = published_in(kind) else {
        return Ok(false);
    };
    let map = place
        .api()
        .get(front_proxy_ca::AUTHENTICATION)?
        .unwrap_or_default();
    let believed = material.state()?.believed;
    let published = blocks(text(&map["data"][field]));
    Ok(published
        .iter()
        .any(|block| id(block).is_ok_and(|id| !believed.contains(&id))))
}

/// In which field of the ConfigMap extension-apiserver-authentication a CA is.
fn published_in(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Ca => Some("client-ca-file"),
        Kind::FrontProxyCa => Some("requestheader-client-ca-file"),
        Kind::EtcdCa | Kind::ServiceAccounts => None,
    }
}

/// Takes out of what apiservers publish what isn't believed any more. They add what is theirs,
/// and take nothing away, since it may be another's.
fn prune(place: &Place, kind: Kind, material: &Material<'_>) -> Result<()> {
    let Some(field) = published_in(kind) else {
        return Ok(());
    };
    let patch = json!({"data": {field: material.bundle()?}});
    place
        .api()
        .patch(front_proxy_ca::AUTHENTICATION, &patch)
        .map(drop)
}

/// Where the rotation of each of these is, in a line.
///
/// # Errors
/// If a file can't be read.
pub fn describe(place: &Place, kinds: &[Kind]) -> Result<Vec<String>> {
    let pki = place.pki();
    kinds
        .iter()
        .map(|kind| {
            let state = Material::new(&pki, *kind).state()?;
            Ok(format!("{:<32}{}", kind.name(), describe_state(&state)))
        })
        .collect()
}

fn describe_state(state: &steps::State) -> String {
    let signs = short(&state.signs);
    let others = state.believed.iter().filter(|id| **id != state.signs);
    let others: Vec<&str> = others.map(|id| short(id)).collect();
    match steps::stage(state) {
        Stage::Settled => format!("{signs} signs, and no other is believed"),
        Stage::Trust if others.is_empty() => format!("{signs} signs; another one is made"),
        Stage::Trust => format!(
            "{signs} signs; {} is believed, and is to sign",
            others.join(", ")
        ),
        Stage::Sign => format!("{signs} signs; {} is still believed", others.join(", ")),
    }
}
