//! Disks over the network: targets have names of three forms.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, int, text};
use super::{Bearer, in_a_byte};
use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

/// How long a volume's name and its portal may be together where the node's own name
/// for it (the initiator) is made of them.
const MAX_LENGTH: usize = 64;
const TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

/// A volume's source `iscsi`; some of it is told of as the volume's.
pub(super) fn check(e: &mut Errors, volume: &Path, bearer: Bearer, source: &Value) {
    let path = volume.child("iscsi");
    let portal = text(source, "targetPortal");
    let in_cluster = matches!(bearer, Bearer::PersistentVolume(_));
    let (Bearer::Pod(name) | Bearer::PersistentVolume(name)) = bearer;
    let length = name.len() + ":".len() + portal.len();
    let is_long = has(source, "initiatorName") && length > MAX_LENGTH;
    if is_long && in_cluster {
        e.invalid(&path.child("targetportal"), portal, TOO_LONG);
    }
    match text(source, "iqn") {
        "" => e.required(&path.child("iqn"), ""),
        name => check_name(e, &path.child("iqn"), name, in_cluster),
    }
    in_a_byte(e, &path.child("lun"), int(source, "lun"), "0 and 255");
    let secret = get(source, "secretRef");
    let authenticates = flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession");
    if authenticates && secret.is_null() {
        e.required(&path.child("secretRef"), "");
    }
    if in_cluster && !secret.is_null() && text(secret, "name").is_empty() {
        e.required(&path.child("secretRef.name"), "");
    }
    if let Some(initiator) = get(source, "initiatorName").as_str() {
        check_name(e, &path.child("initiatorname"), initiator, in_cluster);
    }
    if is_long && !in_cluster {
        e.invalid(&volume.child("name"), name, TOO_LONG);
    }
}

/// `iqn.2001-04.com.example:disk`, `eui.` and 16 characters, `naa.` and 32.
fn check_name(e: &mut Errors, path: &Path, name: &str, in_cluster: bool) {
    type Form = LazyLock<Option<Regex>>;
    static IQN: Form = LazyLock::new(|| {
        Regex::new(r"iqn\.[0-9]{4}-[0-9]{2}\.[[:alnum:]\-.]+:[^,;*&$|\t\n\f\r ]+$").ok()
    });
    static EUI: Form = LazyLock::new(|| Regex::new(r"^eui.[[:alnum:]]{16}$").ok());
    static NAA: Form = LazyLock::new(|| Regex::new(r"^naa.[[:alnum:]]{32}$").ok());
    let form = match name.get(..3) {
        Some("iqn") => &IQN,
        Some("eui") => &EUI,
        Some("naa") => &NAA,
        _ if in_cluster => return e.invalid(path, name, "must be valid format"),
        _ => {
            let detail = "must be valid format starting with iqn, eui, or naa";
            return e.invalid(path, name, detail);
        }
    };
    if !form.as_ref().is_some_and(|form| form.is_match(name)) {
        e.invalid(path, name, "must be valid format");
    }
}
