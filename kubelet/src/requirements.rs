//! What pods need of the host, besides a runtime.

use hardway_client::host::{Host, Requirement, What};

/// All of it.
pub const ALL: &[Requirement] = &[
    Requirement {
        what: What::Fact {
            name: "cgroup-controllers",
            look: controllers,
        },
        otherwise: "requests and limits of pods are not enforced",
        vital: true,
    },
    Requirement {
        what: What::Fact {
            name: "swap",
            look: swap,
        },
        otherwise: "pods take more memory than they may, and what they keep secret is written to disk",
        vital: false,
    },
];

/// Without these a pod can't be limited.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

fn controllers(host: &dyn Host) -> Result<(), String> {
    const MOUNT: &str = "/sys/fs/cgroup";
    let unified = host.read(&format!("{MOUNT}/cgroup.controllers")).ok();
    let is_there = |name: &str| match &unified {
        Some(list) => list.split_whitespace().any(|there| there == name),
        None => host.exists(&format!("{MOUNT}/{name}")),
    };
    let missing: Vec<&str> = CONTROLLERS.into_iter().filter(|n| !is_there(n)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let version = if unified.is_some() { "v2" } else { "v1" };
    let missing = missing.join(", ");
    Err(format!(
        "this host has no cgroup controllers {missing} ({version}, below {MOUNT}); the kernel's command line turns them on: cgroup_enable=memory"
    ))
}

fn swap(host: &dyn Host) -> Result<(), String> {
    let text = host.read("/proc/swaps").unwrap_or_default();
    // The first line names the columns.
    let areas: Vec<&str> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    match areas.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "swap is on ({}); run `swapoff -a`, and take it out of /etc/fstab",
            areas.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io;

    struct Files(BTreeMap<&'static str, &'static str>);

    impl Host for Files {
        fn read(&self, path: &str) -> io::Result<String> {
            let found = self.0.get(path).map(|text| (*text).to_owned());
            found.ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn write(&self, _: &str, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn exists(&self, path: &str) -> bool {
            self.0.contains_key(path)
        }

        fn program_folders(&self) -> Vec<String> {
            Vec::new()
        }

        fn load_module(&self, _: &str) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn controllers_are_there_in_either_version() {
        let v2 = |list| Files([("/sys/fs/cgroup/cgroup.controllers", list)].into());
        assert_eq!(controllers(&v2("cpuset cpu io memory pids\n")), Ok(()));
        let told = controllers(&v2("cpuset cpu io pids\n")).unwrap_err();
        assert!(told.contains("controllers memory (v2"), "{told}");
        let v1 = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory"];
        let mut v1 = Files(v1.map(|path| (path, "")).into());
        assert!(
            controllers(&v1)
                .unwrap_err()
                .contains("controllers pids (v1")
        );
        v1.0.insert("/sys/fs/cgroup/pids", "");
        assert_eq!(controllers(&v1), Ok(()));
    }

    #[test]
    fn swap_is_told_of() {
        let host = |text| Files([("/proc/swaps", text)].into());
        let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert_eq!(swap(&host(head)), Ok(()));
        assert_eq!(swap(&Files(BTreeMap::new())), Ok(()));
        let on = "Filename Type Size Used Priority\n/dev/sda5 partition 998396 0 -2\n";
        let told = swap(&host(on)).unwrap_err();
        assert!(told.contains("swap is on (/dev/sda5)"), "{told}");
    }
}
