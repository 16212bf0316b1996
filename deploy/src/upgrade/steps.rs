//! What an upgrade of a host does, in which order.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::packaging::Package;

/// Whether packages are replaced by those that were given, or by those that were there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// To those that were given.
    There,
    /// To those that were there before.
    Back,
}

/// A step. Each may be done twice: an interrupted one is done again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Copy what the cluster has stored, and its keys.
    Backup,
    /// Make packages out of what is installed, for the way back.
    Keep,
    /// Have no more pods come to this node.
    Cordon,
    /// Have its pods go elsewhere.
    Drain,
    /// Put the other packages in place, whose programs don't run yet.
    Install,
    /// Start a unit anew, and wait until it does its work.
    Restart(String),
    /// See that settings, certificates and add-ons are as this version has them.
    Repair,
    /// Wait until the node is Ready.
    NodeReady,
    /// Have pods come again.
    Uncordon,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backup => f.write_str("back up the cluster's objects and keys"),
            Self::Keep => f.write_str("keep what is installed, for the way back"),
            Self::Cordon => f.write_str("no more pods come to this node"),
            Self::Drain => f.write_str("pods go to other nodes"),
            Self::Install => f.write_str("install the packages"),
            Self::Restart(unit) => write!(f, "start {unit} anew, and wait until it is ready"),
            Self::Repair => {
                f.write_str("settings, certificates and add-ons, as `hardway init` has them")
            }
            Self::NodeReady => f.write_str("the node is Ready"),
            Self::Uncordon => f.write_str("pods come again"),
        }
    }
}

/// What bears on the order of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The packages of this host.
    pub packages: Vec<Package>,
    /// Whether the pods of the node are to go elsewhere.
    pub is_drained: bool,
    /// Whether somebody has said already that no pods are to come; then it stays so.
    pub is_cordoned: bool,
    /// Whether a backup is made first.
    pub is_backed_up: bool,
}

/// All steps, in their order: etcd, apiserver and those that need it, and then what runs pods.
pub fn all(direction: Direction, of: &Circumstances) -> Vec<Step> {
    let has = |package| of.packages.contains(&package);
    let is_drained = of.is_drained && has(Package::Node);
    let mut steps = Vec::new();
    if direction == Direction::There {
        if of.is_backed_up && has(Package::ControlPlane) {
            steps.push(Step::Backup);
        }
        steps.push(Step::Keep);
    }
    if is_drained {
        if !of.is_cordoned {
            steps.push(Step::Cordon);
        }
        steps.push(Step::Drain);
    }
    steps.push(Step::Install);
    for package in [Package::ControlPlane, Package::Node] {
        if has(package) {
            let units = package.units().iter();
            steps.extend(units.map(|unit| Step::Restart((*unit).to_owned())));
        }
        if package == Package::ControlPlane && has(package) {
            steps.push(Step::Repair);
        }
    }
    if has(Package::Node) {
        steps.push(Step::NodeReady);
    }
    if is_drained && !of.is_cordoned {
        steps.push(Step::Uncordon);
    }
    steps
}

/// Those that are left, when some are done.
pub fn left(all: Vec<Step>, done: &[Step]) -> Vec<Step> {
    all.into_iter()
        .filter(|step| !done.contains(step))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances(packages: &[Package]) -> Circumstances {
        Circumstances {
            packages: packages.to_vec(),
            is_drained: true,
            is_cordoned: false,
            is_backed_up: true,
        }
    }

    fn short(steps: &[Step]) -> Vec<String> {
        let word = |step: &Step| match step {
            Step::Restart(unit) => unit
                .trim_start_matches("hardway-")
                .split('.')
                .next()
                .unwrap_or_default()
                .to_owned(),
            other => format!("{other:?}"),
        };
        steps.iter().map(word).collect()
    }

    #[test]
    fn a_control_plane_is_backed_up_and_restarts_from_the_bottom() {
        let of = circumstances(&[Package::ControlPlane, Package::Tool]);
        let steps = all(Direction::There, &of);
        assert_eq!(
            short(&steps).join(" "),
            "Backup Keep Install etcd apiserver controller-manager scheduler certificates Repair"
        );
        let back = all(Direction::Back, &of);
        assert_eq!(
            short(&back).join(" "),
            "Install etcd apiserver controller-manager scheduler certificates Repair"
        );
    }

    #[test]
    fn a_node_is_empty_meanwhile() {
        let of = circumstances(&[Package::Node, Package::Tool]);
        let steps = all(Direction::There, &of);
        assert_eq!(
            short(&steps).join(" "),
            "Keep Cordon Drain Install images flannel-lite proxy kubelet NodeReady Uncordon"
        );
        // Whoever cordoned it before wants it so after.
        let cordoned = Circumstances {
            is_cordoned: true,
            ..of.clone()
        };
        let steps = short(&all(Direction::There, &cordoned)).join(" ");
        assert!(
            steps.contains("Drain") && !steps.contains("ordon"),
            "{steps}"
        );
        let in_place = Circumstances {
            is_drained: false,
            ..of
        };
        let steps = short(&all(Direction::There, &in_place)).join(" ");
        assert!(
            !steps.contains("Drain") && !steps.contains("ordon"),
            "{steps}"
        );
    }

    #[test]
    fn who_was_interrupted_goes_on() {
        let of = circumstances(&[Package::Node, Package::Tool]);
        let steps = all(Direction::There, &of);
        let done = &steps[..4];
        assert_eq!(left(steps.clone(), done), steps[4..]);
        assert_eq!(left(steps.clone(), &steps), []);
    }
}
