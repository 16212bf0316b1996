//! Disks of iSCSI servers as the kernel shows them.

use super::disk::Disk;
use crate::volumes::host_tools::Tools;
use crate::volumes::looks::look;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a disk may take to appear after the login, and its paths to become one.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often that is looked at: nobody tells.
const LOOK: Duration = Duration::from_millis(200);

/// The kernel's devices, which tests have elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Devices {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    pub patience: Duration,
}

impl Default for Devices {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            dev: "/dev".into(),
            patience: PATIENCE,
        }
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Folders of a folder whose names begin so.
fn named(dir: &Path, prefix: &'static str) -> impl Iterator<Item = PathBuf> + use<> {
    entries(dir).filter(move |path| name(path).starts_with(prefix))
}

fn text(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

impl Devices {
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, String> {
        let this = self.clone();
        look(&self.sys, move |_| work(&this)).await
    }

    /// The number of the SCSI host that has a session with a target at a portal.
    ///
    /// # Errors
    /// If the kernel doesn't answer.
    pub async fn host(&self, iqn: &str, portal: &str) -> Result<Option<u32>, String> {
        let (iqn, portal) = (iqn.to_owned(), portal.to_owned());
        self.look(move |this| this.host_now(&iqn, &portal)).await
    }

    fn host_now(&self, iqn: &str, portal: &str) -> Option<u32> {
        let has_portal = |session: &Path| {
            let connections = named(session, "connection").flat_map(|connection| {
                let id = name(&connection);
                std::iter::once(connection.join("iscsi_connection").join(id))
            });
            let mut portals = connections.map(|connection| {
                let address = text(&connection.join("persistent_address"));
                let port = text(&connection.join("persistent_port"));
                match address.contains(':') {
                    true => format!("[{address}]:{port}"),
                    false => format!("{address}:{port}"),
                }
            });
            portals.any(|at| at == portal)
        };
        let has_session = |host: &PathBuf| {
            let mut sessions = named(&host.join("device"), "session");
            sessions.any(|session| {
                let at = session.join("iscsi_session").join(name(&session));
                text(&at.join("targetname")) == iqn && has_portal(&session)
            })
        };
        let mut hosts = named(&self.sys.join("class/iscsi_host"), "host");
        let host = hosts.find(has_session)?;
        name(&host).strip_prefix("host")?.parse().ok()
    }

    /// Has a SCSI host look for one disk, and no others, which would stay behind.
    ///
    /// # Errors
    /// If it can't.
    pub async fn scan(&self, host: u32, lun: i32) -> Result<(), String> {
        let hosts = self.sys.join("class/scsi_host");
        let at = hosts.join(format!("host{host}/scan"));
        let scanned = look(&at, move |at| fs::write(at, format!("0 0 {lun}"))).await?;
        scanned.map_err(|error| format!("{}: {error}", at.display()))
    }

    /// Waits for the link to a disk by the way to it.
    ///
    /// # Errors
    /// If it doesn't come.
    pub async fn wait(
        &self,
        disk: &Disk,
        portal: &str,
        transport: &str,
    ) -> Result<PathBuf, String> {
        let end = format!("ip-{portal}-iscsi-{}-lun-{}", disk.iqn, disk.lun);
        let is_tcp = transport == "tcp";
        let find = move |this: &Self| {
            let mut links = entries(&this.dev.join("disk/by-path"));
            links.find(|link| {
                let name = name(link);
                // Of other transports the way begins with their card.
                (is_tcp && name == end)
                    || (!is_tcp && name.starts_with("pci-") && name.ends_with(&format!("-{end}")))
            })
        };
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(link) = self.look(find.clone()).await? {
                return Ok(link);
            }
            if Instant::now() >= deadline {
                let seconds = self.patience.as_secs();
                return Err(format!("Could not attach disk: Timeout after {seconds}s"));
            }
            sleep(LOOK).await;
        }
    }

    /// The device of a disk to which these ways lead: the one that the host has made of them, or
    /// the first.
    ///
    /// # Errors
    /// If the kernel doesn't answer.
    pub async fn whole(&self, ways: &[PathBuf], is_expected: bool) -> Result<PathBuf, String> {
        let deadline = Instant::now() + self.patience;
        let of: Vec<PathBuf> = ways.to_vec();
        loop {
            let ways = of.clone();
            let find = move |this: &Self| ways.iter().find_map(|way| this.multipath(way));
            if let Some(device) = self.look(find).await? {
                return Ok(device);
            }
            if !is_expected || Instant::now() >= deadline {
                return Ok(of[0].clone());
            }
            sleep(LOOK).await;
        }
    }

    /// The device that joins several ways to the same disk, if there is one.
    fn multipath(&self, way: &Path) -> Option<PathBuf> {
        let disk = name(&way.canonicalize().ok()?);
        let mut joined = named(&self.sys.join("block"), "dm-");
        let joined = joined.find(|dm| dm.join("slaves").join(&disk).exists())?;
        Some(self.dev.join(name(&joined)))
    }

    /// The links to a disk that is there.
    fn ways(&self, disk: &Disk) -> Vec<PathBuf> {
        let end = format!("-iscsi-{}-lun-{}", disk.iqn, disk.lun);
        let links = entries(&self.dev.join("disk/by-path"));
        let mut ways: Vec<_> = links.filter(|link| name(link).ends_with(&end)).collect();
        ways.sort();
        ways
    }

    /// The device of a disk, if it is there.
    ///
    /// # Errors
    /// If the kernel doesn't answer.
    pub async fn find(&self, disk: &Disk) -> Result<Option<PathBuf>, String> {
        let disk = disk.clone();
        let ways = self.look(move |this| this.ways(&disk)).await?;
        match ways.is_empty() {
            true => Ok(None),
            false => self.whole(&ways, false).await.map(Some),
        }
    }

    /// Has the kernel forget a disk that nobody uses, while its session stays for others.
    ///
    /// # Errors
    /// If it can't.
    pub async fn forget(&self, disk: &Disk, tools: &dyn Tools) -> Result<(), String> {
        let of = disk.clone();
        let find = move |this: &Self| {
            let ways = this.ways(&of);
            let joined = ways.iter().find_map(|way| this.multipath(way));
            let disks = ways.iter().filter_map(|way| way.canonicalize().ok());
            (joined, disks.map(|disk| name(&disk)).collect::<Vec<_>>())
        };
        let (joined, disks) = self.look(find).await?;
        if let Some(joined) = joined {
            let device = joined.to_string_lossy();
            if let Err(error) = tools.run("multipath", &["-f", &device]).await {
                tracing::warn!(device = %joined.display(), error, "ways to a disk stay joined");
            }
        }
        for disk in disks {
            let at = self.sys.join("block").join(&disk).join("device/delete");
            let deleted = self.look(move |_| fs::write(at, "1")).await?;
            match deleted {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("{disk}: {error}"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
