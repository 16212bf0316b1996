//! A disk of an iSCSI server: what it is called, and where what is known of it is kept.

use crate::volumes::note;
use crate::volumes::plugin::VolumeSpec;
use k8s_openapi::api::core::v1::{ISCSIPersistentVolumeSource, ISCSIVolumeSource, SecretReference};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The file in which a disk is noted, beside what is mounted of it.
const FILE: &str = "iscsi.json";
/// The port of a server that names none.
const PORT: &str = "3260";

/// What a volume says of its disk: that of a pod, and that of a persistent volume.
pub(super) fn source(spec: &VolumeSpec) -> Option<ISCSIPersistentVolumeSource> {
    match &spec.persistent {
        Some(persistent) => persistent.volume.spec.as_ref()?.iscsi.clone(),
        None => spec.volume.iscsi.clone().map(of_pod),
    }
}

/// The two differ in their secret alone, which a pod has in its own namespace.
fn of_pod(source: ISCSIVolumeSource) -> ISCSIPersistentVolumeSource {
    ISCSIPersistentVolumeSource {
        chap_auth_discovery: source.chap_auth_discovery,
        chap_auth_session: source.chap_auth_session,
        fs_type: source.fs_type,
        initiator_name: source.initiator_name,
        iqn: source.iqn,
        iscsi_interface: source.iscsi_interface,
        lun: source.lun,
        portals: source.portals,
        read_only: source.read_only,
        secret_ref: source.secret_ref.map(|secret| SecretReference {
            name: Some(secret.name),
            namespace: None,
        }),
        target_portal: source.target_portal,
    }
}

/// A disk, as it is logged in to and out of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disk {
    /// The servers' addresses, with ports; the first one names the folder.
    pub portals: Vec<String>,
    /// The target.
    pub iqn: String,
    /// Its number there.
    pub lun: i32,
    /// The interface of the initiator that is configured on the host.
    pub iface: String,
    /// The interface that is used: one of its own, where the volume names its initiator.
    pub own_iface: Option<String>,
    /// The initiator's name, if the volume has one.
    pub initiator_name: Option<String>,
}

impl Disk {
    /// The disk that a volume called `name` is on.
    ///
    /// # Errors
    /// If it is named in a way that is no name.
    pub fn of(source: &ISCSIPersistentVolumeSource, name: &str) -> Result<Self, String> {
        let others = source.portals.iter().flatten();
        let mut portals: Vec<String> = Vec::new();
        for portal in std::iter::once(&source.target_portal).chain(others) {
            let portal = with_port(portal);
            if !portals.contains(&portal) {
                portals.push(portal);
            }
        }
        let iface = source.iscsi_interface.clone().unwrap_or_default();
        let initiator_name = source
            .initiator_name
            .clone()
            .filter(|name| !name.is_empty());
        let disk = Self {
            own_iface: initiator_name
                .is_some()
                .then(|| format!("{}:{name}", portals[0])),
            portals,
            iqn: source.iqn.clone(),
            lun: source.lun,
            iface: match iface.is_empty() {
                true => "default".to_owned(),
                false => iface,
            },
            initiator_name,
        };
        disk.check()?;
        Ok(disk)
    }

    /// Programs get these as arguments, and folders are called so.
    fn check(&self) -> Result<(), String> {
        let is_odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        let is_bad =
            |text: &str| text.is_empty() || text.starts_with(['-', ':']) || text.contains(is_odd);
        let others = [
            Some(&self.iqn),
            Some(&self.iface),
            self.initiator_name.as_ref(),
        ];
        let mut all = self.portals.iter().chain(others.into_iter().flatten());
        match all.find(|text| is_bad(text)) {
            Some(text) => Err(format!("invalid iSCSI name {text:?}")),
            None => Ok(()),
        }
    }

    /// The interface that sessions are made with.
    pub fn session_iface(&self) -> &str {
        self.own_iface.as_deref().unwrap_or(&self.iface)
    }

    /// Whether both need the same session.
    pub fn shares_session(&self, other: &Self) -> bool {
        self.iqn == other.iqn
            && self.session_iface() == other.session_iface()
            && self.portals.iter().any(|p| other.portals.contains(p))
    }

    /// Where it is noted and mounted for the node, below the plugin's folder.
    pub fn dir(&self, plugin: &Path) -> PathBuf {
        let iface = format!("iface-{}", self.session_iface());
        let name = format!("{}-{}-lun-{}", self.portals[0], self.iqn, self.lun);
        plugin.join(iface).join(name)
    }

    /// What is noted in a folder, if anything.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        let Some(disk): Option<Self> = note::read(dir, FILE)? else {
            return Ok(None);
        };
        match disk.portals.is_empty() || disk.check().is_err() {
            true => Err(io::Error::other("it names no disk")),
            false => Ok(Some(disk)),
        }
    }

    /// Notes it in a folder: whole, or not at all.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        note::write(dir, FILE, self)
    }
}

fn with_port(portal: &str) -> String {
    // Addresses of IPv6 have colons of their own, and brackets where there is a port.
    let has_port = match portal.rfind(']') {
        Some(end) => portal[end..].contains(':'),
        None => portal.matches(':').count() == 1,
    };
    match (has_port, portal.contains(':') && !portal.starts_with('[')) {
        (true, _) => portal.to_owned(),
        (false, true) => format!("[{portal}]:{PORT}"),
        (false, false) => format!("{portal}:{PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn disk(more: Value) -> Result<Disk, String> {
        let mut source = json!({"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:d",
            "lun": 2});
        for (field, value) in more.as_object().unwrap() {
            source[field] = value.clone();
        }
        let volume = json!({"name": "v", "iscsi": source});
        let spec = VolumeSpec {
            volume: serde_json::from_value(volume).unwrap(),
            persistent: None,
            read_only: false,
        };
        Disk::of(&super::source(&spec).unwrap(), spec.name())
    }

    #[test]
    fn portals_have_ports_and_come_once() {
        let all = json!({"portals": ["10.0.0.2:3261", "10.0.0.1:3260", "fd00::1", "[fd00::2]:99"]});
        let expected = [
            "10.0.0.1:3260",
            "10.0.0.2:3261",
            "[fd00::1]:3260",
            "[fd00::2]:99",
        ];
        assert_eq!(disk(all).unwrap().portals, expected);
    }

    #[test]
    fn a_disk_is_known_by_what_is_noted_of_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Disk::read(dir.path()).unwrap(), None);
        let made = disk(json!({"initiatorName": "iqn.2001-04.com.example:me"})).unwrap();
        // `pkg/volume/iscsi/iscsi_util.go`: the interface that is made is called so.
        assert_eq!(made.session_iface(), "10.0.0.1:3260:v");
        let at = made.dir(dir.path());
        let last = "iface-10.0.0.1:3260:v/10.0.0.1:3260-iqn.2001-04.com.example:d-lun-2";
        assert!(at.ends_with(last), "{at:?}");
        made.write(&at).unwrap();
        assert_eq!(Disk::read(&at).unwrap(), Some(made));
        std::fs::write(at.join(FILE), "{").unwrap();
        assert!(Disk::read(&at).is_err());
    }

    #[test]
    fn disks_of_a_target_share_a_session() {
        let (one, other) = (disk(json!({})).unwrap(), disk(json!({"lun": 3})).unwrap());
        assert!(one.shares_session(&other));
        let elsewhere = disk(json!({"targetPortal": "10.0.0.9"})).unwrap();
        assert!(!one.shares_session(&elsewhere));
        let own = disk(json!({"initiatorName": "iqn.2001-04.com.example:me"})).unwrap();
        assert!(!one.shares_session(&own));
    }

    #[test]
    fn what_is_no_name_is_not_passed_on() {
        for odd in [
            json!({"targetPortal": ""}),
            json!({"targetPortal": "-x"}),
            json!({"portals": ["a/../b"]}),
            json!({"iqn": "iqn.x -o delete"}),
            json!({"iscsiInterface": ".."  , "iqn": "../x"}),
        ] {
            assert!(disk(odd.clone()).is_err(), "{odd}");
        }
    }
}
