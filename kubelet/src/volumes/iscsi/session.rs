//! Sessions with iSCSI servers, by the host's `iscsiadm`, in the steps of Kubernetes
//! (`pkg/volume/iscsi/iscsi_util.go`).

use super::device::Devices;
use super::disk::Disk;
use crate::volumes::host_tools::{Answer, Tools};
use std::collections::BTreeMap;
use std::path::PathBuf;

const TOOL: &str = "iscsiadm";
/// What it answers where there is no such session or record.
const NOTHING_FOUND: i32 = 21;
/// What can be said of who asks and who answers, in a Secret by these names after a prefix.
const CREDENTIALS: [&str; 4] = ["username", "password", "username_in", "password_in"];
/// So many times all portals are tried.
const MOST_ROUNDS: usize = 5;
/// After so many rounds this many paths are enough.
const ROUNDS: usize = 2;
const PATHS: usize = 2;

/// How a server is told who asks, by CHAP.
#[derive(Default)]
pub(super) struct Chap {
    pub for_discovery: bool,
    pub for_session: bool,
    pub secret: BTreeMap<String, String>,
}

/// The tool and the kernel's view of what it does.
pub(super) struct Sessions<'a> {
    pub tools: &'a dyn Tools,
    pub devices: &'a Devices,
}

impl Sessions<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<Answer, String> {
        self.tools.run(TOOL, arguments).await
    }

    /// The same where only success will do; `what` was done.
    async fn must(&self, what: &str, arguments: &[&str]) -> Result<Answer, String> {
        let answer = self.run(arguments).await?;
        match answer.is_success() {
            true => Ok(answer),
            // Not the arguments: there may be a password among them.
            false => Err(format!("iscsi: failed to {what}: {}", answer.complaint())),
        }
    }

    /// Logs in where that wasn't done yet, and answers the disk's device.
    ///
    /// # Errors
    /// If no portal shows the disk: the last complaint.
    pub async fn log_in(&self, disk: &Disk, chap: &Chap) -> Result<PathBuf, String> {
        let packages = "open-iscsi (Debian) or iscsi-initiator-utils";
        self.tools.check(TOOL, packages)?;
        let shown = self.show(&disk.iface).await?;
        let transport = transport(&shown.output)
            .ok_or_else(|| format!("Could not parse iface file for {}", disk.iface))?;
        if let (Some(own), Some(initiator)) = (&disk.own_iface, &disk.initiator_name) {
            self.clone_iface(&shown.output, own, initiator).await?;
        }
        let mut found: BTreeMap<&str, PathBuf> = BTreeMap::new();
        let mut last = String::new();
        for round in 1..=MOST_ROUNDS {
            for portal in &disk.portals {
                if found.contains_key(portal.as_str()) {
                    continue;
                }
                match self.log_in_at(disk, portal, &transport, chap).await {
                    Ok(device) => drop(found.insert(portal, device)),
                    Err(why) => last = why,
                }
            }
            let is_enough = found.len() >= PATHS && round >= ROUNDS;
            if found.is_empty() || found.len() == disk.portals.len() || is_enough {
                break;
            }
        }
        if found.is_empty() {
            return Err(format!(
                "failed to get any path for iscsi disk, last err seen:\n{last}"
            ));
        }
        let paths: Vec<PathBuf> = found.into_values().collect();
        self.devices.whole(&paths, disk.portals.len() > 1).await
    }

    async fn log_in_at(
        &self,
        disk: &Disk,
        portal: &str,
        transport: &str,
        chap: &Chap,
    ) -> Result<PathBuf, String> {
        let host = match self.devices.host(&disk.iqn, portal).await? {
            Some(host) => host,
            None => {
                self.begin(disk, portal, chap).await?;
                let host = self.devices.host(&disk.iqn, portal).await?;
                host.ok_or_else(|| {
                    format!("Could not get SCSI host number for portal {portal} after logging in")
                })?
            }
        };
        self.devices.scan(host, disk.lun).await?;
        self.devices.wait(disk, portal, transport).await
    }

    /// Finds the target at a portal, and makes a session with it.
    async fn begin(&self, disk: &Disk, portal: &str, chap: &Chap) -> Result<(), String> {
        let (iface, iqn) = (disk.session_iface(), disk.iqn.as_str());
        let discovery = [
            "-m",
            "discoverydb",
            "-t",
            "sendtargets",
            "-p",
            portal,
            "-I",
            iface,
        ];
        let node = ["-m", "node", "-p", portal, "-T", iqn, "-I", iface];
        // It may be there already.
        self.run(&[&discovery[..], &["-o", "new"]].concat()).await?;
        if chap.for_discovery {
            let prefix = "discovery.sendtargets.auth.";
            self.authenticate("discoverydb", &discovery, prefix, chap)
                .await?;
        }
        let found = [&discovery[..], &["--discover"]].concat();
        if let Err(why) = self.must("sendtargets to portal", &found).await {
            self.run(&[&discovery[..], &["-o", "delete"]].concat())
                .await?;
            return Err(why);
        }
        if chap.for_session {
            self.authenticate("node", &node, "node.session.auth.", chap)
                .await?;
        }
        let login = [&node[..], &["--login"]].concat();
        if let Err(why) = self.must("attach disk", &login).await {
            self.run(&[&node[..], &["-o", "delete"]].concat()).await?;
            return Err(why);
        }
        // A host that comes up must not wait for a server that is gone.
        let manual = ["-o", "update", "-n", "node.startup", "-v", "manual"];
        let set = self.run(&[&node[..6], &manual].concat()).await?;
        if !set.is_success() {
            tracing::warn!(portal, iqn, "iSCSI login stays automatic");
        }
        Ok(())
    }

    /// Says who asks, in a record of the tool.
    async fn authenticate(
        &self,
        what: &str,
        record: &[&str],
        prefix: &str,
        chap: &Chap,
    ) -> Result<(), String> {
        let method = format!("{prefix}authmethod");
        let mut values = vec![(method, "CHAP")];
        for name in CREDENTIALS {
            let key = format!("{prefix}{name}");
            let value = chap.secret.get(&key).map_or("", String::as_str);
            if !value.is_empty() {
                values.push((key, value));
            }
        }
        for (key, value) in values {
            let update = [record, &["-o", "update", "-n", &key, "-v", value]].concat();
            self.must(&format!("update {what} key {key:?}"), &update)
                .await?;
        }
        Ok(())
    }

    async fn show(&self, iface: &str) -> Result<Answer, String> {
        let show = ["-m", "iface", "-I", iface, "-o", "show"];
        self.must("show iface records", &show).await
    }

    /// Makes an interface like one that is there, with an initiator name of its own.
    async fn clone_iface(&self, like: &str, own: &str, initiator: &str) -> Result<(), String> {
        // It may be there from an earlier try.
        self.run(&["-m", "iface", "-I", own, "-o", "new"]).await?;
        let mut parameters = parameters(like);
        parameters.insert("iface.initiatorname", initiator);
        for (name, value) in parameters {
            let update = [
                "-m", "iface", "-I", own, "-o", "update", "-n", name, "-v", value,
            ];
            if let Err(why) = self.must("update iface records", &update).await {
                self.run(&["-m", "iface", "-I", own, "-o", "delete"])
                    .await?;
                return Err(why);
            }
        }
        Ok(())
    }

    /// Ends the sessions of a disk that was the last of its target.
    ///
    /// # Errors
    /// If one stays; then it can be tried again.
    pub async fn log_out(&self, disk: &Disk) -> Result<(), String> {
        let (iface, iqn) = (disk.session_iface(), disk.iqn.as_str());
        let gone = |what: &str, answer: Answer| match answer.code {
            Some(0 | NOTHING_FOUND) => Ok(()),
            _ => Err(format!("iscsi: failed to {what}: {}", answer.complaint())),
        };
        for portal in &disk.portals {
            let node = ["-m", "node", "-p", portal, "-T", iqn, "-I", iface];
            let left = self.run(&[&node[..], &["--logout"]].concat()).await?;
            gone("detach disk", left)?;
            let forgotten = self.run(&[&node[..], &["-o", "delete"]].concat()).await?;
            gone("delete node record", forgotten)?;
        }
        if let Some(own) = &disk.own_iface {
            let delete = ["-m", "iface", "-I", own, "-o", "delete"];
            gone("delete iface", self.run(&delete).await?)?;
        }
        Ok(())
    }
}

/// How an interface sends.
fn transport(shown: &str) -> Option<String> {
    let mut lines = shown.lines();
    let name = lines.find_map(|line| line.strip_prefix("iface.transport_name = "))?;
    Some(match name.trim() {
        "<empty>" => "tcp".to_owned(),
        name => name.to_owned(),
    })
}

/// What is set of an interface, but for its name.
fn parameters(shown: &str) -> BTreeMap<&str, &str> {
    let lines = shown.lines().filter(|line| line.starts_with("iface."));
    let pairs = lines.filter_map(|line| line.split_once(" = "));
    let pairs = pairs.map(|(name, value)| (name.trim(), value.trim()));
    pairs
        .filter(|(name, value)| *name != "iface.iscsi_ifacename" && *value != "<empty>")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TestExtractTransportname` and `TestParseIscsiadmShow` of `iscsi_util_test.go`.
    #[test]
    fn interfaces_are_read() {
        let shown = "# BEGIN RECORD 2.0-873\niface.iscsi_ifacename = default\n\
            iface.transport_name = tcp\niface.initiatorname = <empty>\niface.mtu = 0\n# END RECORD\n";
        assert_eq!(transport(shown).as_deref(), Some("tcp"));
        assert_eq!(
            transport("iface.transport_name = cxgb4i\n").as_deref(),
            Some("cxgb4i")
        );
        assert_eq!(
            transport("iface.transport_name = <empty>\n").as_deref(),
            Some("tcp")
        );
        assert_eq!(transport("iface.mtu = 0\n"), None);
        let all: Vec<_> = parameters(shown).into_iter().collect();
        assert_eq!(all, [("iface.mtu", "0"), ("iface.transport_name", "tcp")]);
    }
}
