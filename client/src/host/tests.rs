//! Against a host of a few files.

use super::*;
use std::collections::BTreeSet;
use std::io;

const BRIDGE: Requirement = Requirement {
    what: What::Sysctl {
        name: "net.bridge.bridge-nf-call-iptables",
        value: "1",
        module: Some("br_netfilter"),
    },
    otherwise: "pods don't reach Services",
    vital: true,
};
const FILE: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const TOOL: Requirement = Requirement {
    what: What::Program {
        name: "conntrack",
        package: "conntrack",
    },
    otherwise: "connections go nowhere",
    vital: false,
};

#[derive(Default)]
struct Fake {
    files: Mutex<BTreeMap<String, String>>,
    read_only: BTreeSet<String>,
    modules: BTreeSet<String>,
}

impl Fake {
    fn with(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Self {
            files: Mutex::new(files.collect()),
            ..Default::default()
        }
    }

    fn put(&self, path: &str, text: &str) {
        self.files.lock().insert(path.into(), text.into());
    }
}

impl Host for Fake {
    fn read(&self, path: &str) -> io::Result<String> {
        let found = self.files.lock().get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        if self.read_only.contains(path) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.put(path, text);
        Ok(())
    }

    fn exists(&self, path: &str) -> bool {
        self.files.lock().contains_key(path)
    }

    fn program_folders(&self) -> Vec<String> {
        vec!["/usr/bin".into(), "/usr/sbin".into()]
    }

    fn load_module(&self, name: &str) -> Result<(), String> {
        if !self.modules.contains(name) {
            return Err(format!("FATAL: Module {name} not found."));
        }
        self.put(FILE, "0\n");
        Ok(())
    }
}

fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unmet(complaint) => complaint.text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let host = Fake {
        read_only: [FILE.to_owned()].into(),
        ..Fake::with(&[(FILE, "1\n")])
    };
    assert_eq!(BRIDGE.settle(&host), Outcome::Met);
}

#[test]
fn a_setting_is_put_right_with_its_module() {
    let host = Fake {
        modules: ["br_netfilter".to_owned()].into(),
        ..Default::default()
    };
    let outcome = BRIDGE.settle(&host);
    let Outcome::Mended(how) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(how.contains("loaded the module br_netfilter") && how.contains("from 0 to 1"));
    assert_eq!(host.read(FILE).unwrap(), "1");
    assert_eq!(BRIDGE.settle(&host), Outcome::Met);
}

#[test]
fn what_cannot_be_put_right_names_the_way_out() {
    let told = text(BRIDGE.settle(&Fake::default()));
    for part in [
        "net.bridge.bridge-nf-call-iptables isn't there",
        "Module br_netfilter not found",
        "modprobe br_netfilter",
        "/etc/modules-load.d/",
        "otherwise pods don't reach Services",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let host = Fake {
        read_only: [FILE.to_owned()].into(),
        ..Fake::with(&[(FILE, "0\n")])
    };
    let told = text(BRIDGE.settle(&host));
    for part in [
        "is 0, must be 1",
        "read-only",
        "sysctl -w net.bridge.bridge-nf-call-iptables=1",
        "/etc/sysctl.d/",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn programs_and_files_are_looked_for_in_all_folders() {
    let plugin = Requirement {
        what: What::File {
            name: "bridge",
            folders: &["/opt/cni/bin", "/usr/lib/cni"],
            package: "containernetworking-plugins",
        },
        otherwise: "no pod starts",
        vital: false,
    };
    let host = Fake::default();
    assert!(text(TOOL.settle(&host)).contains("not in the PATH (/usr/bin:/usr/sbin)"));
    assert!(
        text(plugin.settle(&host)).contains("file bridge is in none of /opt/cni/bin, /usr/lib/cni")
    );
    host.put("/usr/sbin/conntrack", "");
    host.put("/usr/lib/cni/bridge", "");
    assert_eq!(TOOL.settle(&host), Outcome::Met);
    assert_eq!(plugin.settle(&host), Outcome::Met);
}

#[test]
fn it_is_told_once_and_forgotten_when_it_is_over() {
    let host = Fake::default();
    let (watched, told) = (Watched::default(), Mutex::new(0));
    let look = || watched.look(&host, &[BRIDGE, TOOL], &|_| *told.lock() += 1);
    look();
    look();
    assert_eq!(*told.lock(), 2, "two complaints, once each");
    assert!(watched.check().unwrap_err().contains("br_netfilter"));
    assert!(watched.warn().unwrap_err().contains("conntrack"));
    host.put(FILE, "0");
    host.put("/usr/bin/conntrack", "");
    look();
    assert_eq!((watched.check(), watched.warn()), (Ok(()), Ok(())));
    // Somebody else sets it; that lasts until the next look.
    host.put(FILE, "0");
    look();
    assert_eq!(host.read(FILE).unwrap(), "1");
    assert_eq!(*told.lock(), 2);
}
