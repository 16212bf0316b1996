//! A cluster on Debian hosts under systemd.
//!
//! Runs only when it is named: `cargo hardway test --only e2e --suite hosts`. It needs no
//! lab: it boots hosts of its own.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use hardway_tests::host::{Host, Site};

/// The folder of $HARDWAY_HOSTS.
fn folder() -> PathBuf {
    let folder = std::env::var_os("HARDWAY_HOSTS").map(PathBuf::from);
    folder.expect("run this with `cargo hardway test --only e2e --suite hosts`")
}

fn site() -> Site {
    let folder = folder();
    let site = Site::new(&folder.join("run"), &folder.join("debian"));
    site.outside(Ipv4Addr::new(10, 88, 0, 1));
    site
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, last)
}

/// A file in memory says since when the host is up.
fn boots(host: &Host) -> String {
    host.run("test -e /run/seen || cat /proc/sys/kernel/random/uuid >/run/seen; cat /run/seen")
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn hosts_are_hosts() {
    let site = site();
    let one = site.host("one", address(2));
    let two = site.host("two", address(3));
    assert_eq!(one.run("hostname"), "one\n");
    let reaches = |from: &Host, to: &Host| {
        let ping = format!("exec 3<>/dev/tcp/{}/7777", to.address);
        let refused = from.try_run(&ping).stderr;
        assert!(refused.contains("Connection refused"), "{refused}");
    };
    reaches(&one, &two);

    one.run("echo kept >/root/kept");
    let first = boots(&one);
    one.reboot();
    let second = boots(&one);
    assert_ne!(first, second);
    assert_eq!(second, boots(&one));
    two.power_cut();
    assert!(!two.try_run("true").success);
    two.power_on();
    reaches(&one, &two);
    reaches(&two, &one);
    assert_eq!(one.run("cat /root/kept"), "kept\n");
    let processes = one.run("ls -d /proc/[0-9]* | wc -l");
    assert!(
        processes
            .trim()
            .parse::<u32>()
            .is_ok_and(|count| count < 30)
    );

    drop((one, two, site));
    let left = std::process::Command::new("sh")
        .args([
            "-c",
            "ip netns list; cat /proc/self/mounts /proc/self/cgroup; ls /sys/fs/cgroup/*",
        ])
        .output()
        .expect("sh");
    let left = String::from_utf8_lossy(&left.stdout);
    assert!(!left.contains("hardway-hosts"), "{left}");
    assert!(!left.contains(&folder().display().to_string()), "{left}");
}
