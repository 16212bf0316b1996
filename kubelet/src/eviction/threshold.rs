//! What must be left of the node's resources, as the flags say it. Pure. Syntax, defaults and
//! words are Kubernetes' (`pkg/kubelet/eviction/helpers.go`, `pkg/kubelet/apis/config/v1beta1`).

use hardway_proto::quantity::{Format, Quantity};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// `--eviction-hard`, where it isn't given.
pub const DEFAULT_HARD: &str = "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Memory of the node that isn't in use.
    MemoryAvailable,
    /// Memory that pods may have together and don't use. Follows from the hard threshold of
    /// [`Signal::MemoryAvailable`]; no flag names it.
    AllocatableMemoryAvailable,
    /// Bytes of the disk that holds volumes and logs.
    NodeFsAvailable,
    /// Its inodes.
    NodeFsInodesFree,
    /// Bytes of the disk that holds images and containers.
    ImageFsAvailable,
    /// Its inodes.
    ImageFsInodesFree,
    /// Process numbers.
    PidAvailable,
}

/// A condition of the node that says that something is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Memory.
    MemoryPressure,
    /// Disks.
    DiskPressure,
    /// Process numbers.
    PidPressure,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MemoryPressure => "MemoryPressure",
            Self::DiskPressure => "DiskPressure",
            Self::PidPressure => "PIDPressure",
        })
    }
}

impl Signal {
    const ALL: [Self; 7] = [
        Self::MemoryAvailable,
        Self::AllocatableMemoryAvailable,
        Self::NodeFsAvailable,
        Self::NodeFsInodesFree,
        Self::ImageFsAvailable,
        Self::ImageFsInodesFree,
        Self::PidAvailable,
    ];

    /// As flags and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryAvailable => "memory.available",
            Self::AllocatableMemoryAvailable => "allocatableMemory.available",
            Self::NodeFsAvailable => "nodefs.available",
            Self::NodeFsInodesFree => "nodefs.inodesFree",
            Self::ImageFsAvailable => "imagefs.available",
            Self::ImageFsInodesFree => "imagefs.inodesFree",
            Self::PidAvailable => "pid.available",
        }
    }

    /// The condition that the node has while too little is left.
    pub fn condition(self) -> Condition {
        match self {
            Self::MemoryAvailable | Self::AllocatableMemoryAvailable => Condition::MemoryPressure,
            Self::PidAvailable => Condition::PidPressure,
            _ => Condition::DiskPressure,
        }
    }

    /// The resource, as messages name it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::MemoryAvailable | Self::AllocatableMemoryAvailable => "memory",
            Self::NodeFsAvailable | Self::ImageFsAvailable => "ephemeral-storage",
            Self::NodeFsInodesFree | Self::ImageFsInodesFree => "inodes",
            Self::PidAvailable => "pids",
        }
    }

    /// Whether it is about memory, which is seen to before all else.
    pub fn is_memory(self) -> bool {
        self.condition() == Condition::MemoryPressure
    }

    /// Whether it is about a disk: what pods use of it is found by walking through their files.
    pub fn is_disk(self) -> bool {
        self.condition() == Condition::DiskPressure
    }

    /// How amounts of it are written.
    pub fn format(self) -> Format {
        match self {
            Self::NodeFsInodesFree | Self::ImageFsInodesFree | Self::PidAvailable => {
                Format::DecimalSi
            }
            _ => Format::BinarySi,
        }
    }
}

impl FromStr for Signal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|signal| signal.name() == text);
        found.ok_or_else(|| format!("unsupported eviction signal {text}"))
    }
}

/// How much of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So much.
    Absolute(Quantity),
    /// This part of what there is, between 0 and 1.
    Share(f32),
}

impl Amount {
    /// How much that is, of a capacity.
    pub fn of(self, capacity: i64) -> Quantity {
        match self {
            Self::Absolute(quantity) => quantity,
            Self::Share(share) => {
                let part = capacity as f64 * f64::from(share);
                Quantity::from_value(part as i64, Format::BinarySi)
            }
        }
    }
}

/// What must be left of one resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Of what.
    pub signal: Signal,
    /// So much.
    pub value: Amount,
    /// How long there may be less before pods go; zero for a hard threshold.
    pub grace: Duration,
    /// How much more than the threshold is to be left when pods have gone.
    pub min_reclaim: Option<Amount>,
}

impl Threshold {
    /// Whether pods go at once.
    pub fn is_hard(&self) -> bool {
        self.grace.is_zero()
    }
}

/// The flags about eviction, as they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// `--eviction-hard`.
    pub hard: &'a str,
    /// `--eviction-soft`.
    pub soft: &'a str,
    /// `--eviction-soft-grace-period`.
    pub soft_grace_period: &'a str,
    /// `--eviction-minimum-reclaim`.
    pub minimum_reclaim: &'a str,
}

/// Reads the flags. Memory that pods may have together is held to the hard threshold of
/// memory, too.
///
/// # Errors
/// What is wrong, with the flag it is wrong in.
pub fn parse(texts: Texts<'_>) -> Result<Vec<Threshold>, String> {
    let hard = thresholds(texts.hard).map_err(|e| format!("--eviction-hard: {e}"))?;
    let mut soft = thresholds(texts.soft).map_err(|e| format!("--eviction-soft: {e}"))?;
    let periods = pairs(texts.soft_grace_period, '=').and_then(|pairs| {
        let each = pairs.into_iter();
        each.map(|(signal, text)| Ok((signal.parse::<Signal>()?, period(text)?)))
            .collect::<Result<Vec<_>, String>>()
    });
    let periods = periods.map_err(|e| format!("--eviction-soft-grace-period: {e}"))?;
    for threshold in &mut soft {
        let signal = threshold.signal;
        let period = periods.iter().find(|(of, _)| *of == signal);
        threshold.grace = period.map(|(_, period)| *period).ok_or_else(|| {
            format!(
                "--eviction-soft-grace-period: grace period must be specified for the soft eviction threshold {}",
                signal.name()
            )
        })?;
    }
    let reclaims = reclaims(texts.minimum_reclaim);
    let reclaims = reclaims.map_err(|e| format!("--eviction-minimum-reclaim: {e}"))?;
    let mut all: Vec<Threshold> = hard.into_iter().chain(soft).collect();
    for threshold in &mut all {
        let reclaim = reclaims.iter().find(|(of, _)| *of == threshold.signal);
        threshold.min_reclaim = reclaim.map(|(_, amount)| *amount);
    }
    let of_pods: Vec<Threshold> = all
        .iter()
        .filter(|t| t.signal == Signal::MemoryAvailable && t.is_hard())
        .map(|t| Threshold {
            signal: Signal::AllocatableMemoryAvailable,
            ..*t
        })
        .collect();
    all.extend(of_pods);
    Ok(all)
}

/// `KEY<VALUE,…` or `KEY=VALUE,…`. The last of equal keys counts.
fn pairs(text: &str, separator: char) -> Result<Vec<(&str, &str)>, String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = part
            .split_once(separator)
            .ok_or_else(|| format!("malformed pair, expect string{separator}string"))?;
        let key = key.trim();
        pairs.retain(|(other, _)| *other != key);
        pairs.push((key, value.trim()));
    }
    Ok(pairs)
}

fn thresholds(text: &str) -> Result<Vec<Threshold>, String> {
    let mut list = Vec::new();
    for (name, text) in pairs(text, '<')? {
        if name.starts_with("containerfs.") {
            // As in Kubernetes: no runtime has containers on a disk that is neither of the two.
            tracing::warn!(
                threshold = name,
                "is ignored: what holds for nodefs or imagefs holds"
            );
            continue;
        }
        let signal: Signal = name.parse()?;
        if ["0%", "100%"].contains(&text) {
            continue;
        }
        let value = match percent(text)? {
            Some(share) if share < 0.0 => {
                return Err(format!(
                    "eviction percentage threshold {name} must be >= 0%: {text}"
                ));
            }
            Some(share) if share > 1.0 => {
                return Err(format!(
                    "eviction percentage threshold {name} must be <= 100%: {text}"
                ));
            }
            Some(share) => Amount::Share(share),
            None => Amount::Absolute(quantity(text)?),
        };
        if let Amount::Absolute(quantity) = value
            && quantity.sign() <= 0
        {
            return Err(format!(
                "eviction threshold {name} must be positive: {quantity}"
            ));
        }
        list.push(Threshold {
            signal,
            value,
            grace: Duration::ZERO,
            min_reclaim: None,
        });
    }
    Ok(list)
}

fn reclaims(text: &str) -> Result<Vec<(Signal, Amount)>, String> {
    let mut list = Vec::new();
    for (name, text) in pairs(text, '=')? {
        let signal: Signal = name.parse()?;
        let amount = match percent(text)? {
            Some(share) if share <= 0.0 => {
                return Err(format!(
                    "eviction percentage minimum reclaim {name} must be positive: {text}"
                ));
            }
            Some(share) => Amount::Share(share),
            None => Amount::Absolute(quantity(text)?),
        };
        if let Amount::Absolute(quantity) = amount
            && quantity.sign() < 0
        {
            return Err(format!(
                "negative eviction minimum reclaim specified for {name}"
            ));
        }
        list.push((signal, amount));
    }
    Ok(list)
}

/// The part that a text in percent is; none of any other text.
fn percent(text: &str) -> Result<Option<f32>, String> {
    let Some(number) = text.strip_suffix('%') else {
        return Ok(None);
    };
    let number: f32 = number.parse().map_err(|e| format!("{text:?}: {e}"))?;
    match number.is_finite() {
        true => Ok(Some(number / 100.0)),
        false => Err(format!("{text:?}: not a number")),
    }
}

fn quantity(text: &str) -> Result<Quantity, String> {
    text.parse().map_err(|e| format!("{text:?}: {e}"))
}

fn period(text: &str) -> Result<Duration, String> {
    crate::flags::duration(text).map_err(|e| format!("{text:?}: {e}"))
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
