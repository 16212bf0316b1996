//! Against trees of files as the kernel has them (cgroup-v1 and cgroup-v2 of its
//! documentation). Their files are made as they are first written: only that
//! a directory can be removed with the files in it is the kernel's own.

use super::*;

#[test]
fn all_pods_together_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let cgroups = Cgroups::new(dir.path(), "/lab-a", None);
    fs::create_dir(dir.path().join("memory")).unwrap();
    fs::create_dir(dir.path().join("cpu")).unwrap();
    fs::create_dir(dir.path().join("pids")).unwrap();
    cgroups.enforce(1 << 30, 1500, Some(4000)).unwrap();
    let pids = dir.path().join("pids/lab-a/kubepods/pids.max");
    assert_eq!(fs::read_to_string(pids).unwrap(), "4000");
    let limit = dir
        .path()
        .join("memory/lab-a/kubepods/memory.limit_in_bytes");
    assert_eq!(fs::read_to_string(limit).unwrap(), "1073741824");
    let shares = dir.path().join("cpu/lab-a/kubepods/cpu.shares");
    assert_eq!(fs::read_to_string(shares).unwrap(), "1536");
}

#[test]
fn what_pods_use_is_read_in_both_versions() {
    let mut pod = Pod::default();
    pod.metadata.uid = Some("u1".into());
    let write = |path: PathBuf, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let own = "kubepods/besteffort/podu1";
    let first = tempfile::tempdir().unwrap();
    let (memory, pids) = (first.path().join("memory"), first.path().join("pids"));
    write(memory.join(own).join("memory.usage_in_bytes"), "5000\n");
    write(
        memory.join(own).join("memory.stat"),
        "inactive_file 1\ntotal_inactive_file 2000\n",
    );
    write(pids.join(own).join("pids.current"), "7\n");
    let cgroups = Cgroups::new(first.path(), "/", None);
    assert_eq!(cgroups.usage(&pod), (3000, 7));
    assert_eq!(cgroups.pods_memory(), None);
    let second = tempfile::tempdir().unwrap();
    write(second.path().join("cgroup.controllers"), "memory pids");
    for (path, used) in [(own, "5000"), ("kubepods", "9000")] {
        write(second.path().join(path).join("memory.current"), used);
        write(
            second.path().join(path).join("memory.stat"),
            "inactive_file 2000\n",
        );
    }
    let cgroups = Cgroups::new(second.path(), "/", None);
    assert_eq!(cgroups.usage(&pod), (3000, 0));
    assert_eq!(cgroups.pods_memory(), Some(7000));
}

#[test]
fn limits_grow_before_and_shrink_after() {
    let dir = tempfile::tempdir().unwrap();
    for controller in ["cpu", "memory"] {
        fs::create_dir(dir.path().join(controller)).unwrap();
    }
    let cgroups = Cgroups::new(dir.path(), "/", None);
    let of = |cpu, memory| pod("u1", &[], &[("cpu", cpu), ("memory", memory)]);
    let limits = || {
        let limits = cgroups.reader().limits("kubepods/podu1");
        (limits.cpu_quota, limits.memory >> 20)
    };
    cgroups.create(&of("1", "64Mi")).unwrap();
    assert_eq!(limits(), (Some(100_000), 64));
    let wanted = of("500m", "128Mi");
    cgroups.grow(&wanted).unwrap();
    assert_eq!(limits(), (Some(100_000), 128), "nothing is taken yet");
    cgroups.create(&wanted).unwrap();
    assert_eq!(limits(), (Some(50_000), 128));
}

#[test]
fn a_limit_is_not_lowered_below_what_is_used() {
    let dir = unified();
    let cgroups = Cgroups::new(dir.path(), "/", None);
    let of = |memory| pod("u1", &[], &[("cpu", "1"), ("memory", memory)]);
    assert!(!cgroups.would_starve(&of("1Mi")), "it isn't there yet");
    cgroups.create(&of("64Mi")).unwrap();
    let own = dir.path().join("kubepods/podu1");
    fs::write(own.join("memory.current"), "33554432\n").unwrap();
    fs::write(own.join("memory.stat"), "inactive_file 0\n").unwrap();
    for (memory, starves) in [("16Mi", true), ("32Mi", true), ("33Mi", false)] {
        assert_eq!(cgroups.would_starve(&of(memory)), starves, "{memory}");
    }
    // One that is full keeps what it has, or gets more.
    fs::write(own.join("memory.current"), "67108864\n").unwrap();
    assert!(!cgroups.would_starve(&of("64Mi")) && !cgroups.would_starve(&of("65Mi")));
}

#[test]
fn a_limit_that_cannot_be_held_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let limited = Cgroups::new(dir.path(), "/", Some(100));
    assert!(!limited.can_limit_pids());
    assert!(Cgroups::new(dir.path(), "/", None).can_limit_pids());
    fs::create_dir_all(dir.path().join("pids")).unwrap();
    assert!(limited.can_limit_pids());
    limited.create(&Pod::default()).unwrap();
    let limit = dir.path().join("pids/kubepods/besteffort/pod/pids.max");
    assert_eq!(fs::read_to_string(limit).unwrap(), "100");
    fs::write(dir.path().join("cgroup.controllers"), "cpu memory").unwrap();
    assert!(!limited.can_limit_pids());
}

#[test]
fn what_runs_for_nobody_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pids/kubepods/burstable/podu1/c1");
    fs::create_dir_all(&path).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    fs::write(path.join("cgroup.procs"), format!("0\n{}\n", child.id())).unwrap();
    Cgroups::new(dir.path(), "/", None).destroy("u1");
    assert!(!child.wait().unwrap().success());
}

#[test]
fn paths_follow_the_class_and_removal_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut pod = Pod::default();
    pod.metadata.uid = Some("u1".into());
    let cgroups = Cgroups::new(dir.path(), "/lab-a", None);
    assert_eq!(cgroups.pod_parent(&pod), "/lab-a/kubepods/besteffort/podu1");
    let path = dir.path().join("memory/lab-a/kubepods/besteffort/podu1/c1");
    fs::create_dir_all(&path).unwrap();
    assert_eq!(cgroups.pods(), ["u1"]);
    cgroups.remove("u1");
    assert!(!path.parent().unwrap().exists());
    assert!(cgroups.pods().is_empty());
}

fn pod(uid: &str, requests: &[(&str, &str)], limits: &[(&str, &str)]) -> Pod {
    let list = |pairs: &[(&str, &str)]| -> serde_json::Value {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    serde_json::from_value(serde_json::json!({
        "metadata": {"uid": uid},
        "spec": {"containers": [{
            "name": "c",
            "resources": {"requests": list(requests), "limits": list(limits)},
        }]},
    }))
    .unwrap()
}

/// A host of version 2 that was just booted.
fn unified() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        (
            "cgroup.controllers",
            "cpuset cpu io memory hugetlb pids rdma misc\n",
        ),
        ("cgroup.subtree_control", "cpu memory pids\n"),
        ("cgroup.procs", "1\n"),
    ] {
        fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}

fn read(dir: &tempfile::TempDir, path: &str) -> String {
    fs::read_to_string(dir.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn version_2_is_one_tree_with_its_controllers_handed_down() {
    let dir = unified();
    let cgroups = Cgroups::new(dir.path(), "/", Some(100));
    assert!(cgroups.can_limit_pids());
    cgroups.enforce(1 << 30, 2000, None).unwrap();
    assert_eq!(read(&dir, "kubepods/memory.max"), "1073741824");
    // 2048 shares.
    assert_eq!(read(&dir, "kubepods/cpu.weight"), "79");
    let limits = [("cpu", "500m"), ("memory", "64Mi")];
    cgroups.create(&pod("g", &[], &limits)).unwrap();
    assert_eq!(read(&dir, "kubepods/podg/cpu.weight"), "20");
    assert_eq!(read(&dir, "kubepods/podg/cpu.max"), "50000 100000");
    assert_eq!(read(&dir, "kubepods/podg/memory.max"), "67108864");
    assert_eq!(read(&dir, "kubepods/podg/pids.max"), "100");
    // Each write turns one on; the last one stays in a tree of plain files.
    for parent in ["", "kubepods/"] {
        let enabled = read(&dir, &format!("{parent}cgroup.subtree_control"));
        assert!(
            CONTROLLERS.contains(&enabled.trim_start_matches('+')),
            "{enabled}"
        );
    }
    assert_eq!(cgroups.pods(), ["g"]);
}

#[test]
fn a_container_of_version_2_ends_as_a_whole_and_is_not_swapped() {
    let dir = unified();
    let cgroups = Cgroups::new(dir.path(), "/", None);
    cgroups.enforce(1 << 30, 2000, None).unwrap();
    let files = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = list.iter();
        pairs
            .map(|(file, text)| ((*file).into(), (*text).into()))
            .collect()
    };
    let group = ("memory.oom.group", "1");
    assert_eq!(cgroups.of_container(), files(&[group]));
    fs::write(dir.path().join("kubepods/memory.swap.max"), "max\n").unwrap();
    let both = files(&[group, ("memory.swap.max", "0")]);
    assert_eq!(cgroups.of_container(), both);
    let v1 = tempfile::tempdir().unwrap();
    assert!(Cgroups::new(v1.path(), "/", None).of_container().is_empty());
}

#[test]
fn a_pod_without_limits_has_none_in_either_version() {
    let dir = unified();
    let v2 = Cgroups::new(dir.path(), "/", None);
    v2.create(&pod("b", &[("cpu", "250m")], &[])).unwrap();
    let path = dir.path().join("kubepods/burstable/podb");
    for file in ["cpu.max", "memory.max", "pids.max"] {
        assert!(!path.join(file).exists(), "{file}");
    }
    let dir = tempfile::tempdir().unwrap();
    for controller in CONTROLLERS {
        fs::create_dir(dir.path().join(controller)).unwrap();
    }
    let v1 = Cgroups::new(dir.path(), "/", None);
    v1.create(&pod("b", &[("cpu", "250m")], &[])).unwrap();
    let path = "kubepods/burstable/podb";
    assert_eq!(read(&dir, &format!("cpu/{path}/cpu.shares")), "256");
    for file in [
        "cpu/F/cpu.cfs_quota_us",
        "memory/F/memory.limit_in_bytes",
        "pids/F/pids.max",
    ] {
        let file = dir.path().join(file.replace('F', path));
        assert!(
            !file.exists() && file.parent().unwrap().exists(),
            "{file:?}"
        );
    }
}

#[test]
fn classes_weigh_what_their_pods_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("cpu")).unwrap();
    let v1 = Cgroups::new(dir.path(), "/", None);
    v1.create(&pod("a", &[("cpu", "250m")], &[])).unwrap();
    v1.create(&pod("b", &[("cpu", "500m")], &[])).unwrap();
    v1.create(&pod("c", &[], &[])).unwrap();
    let shares = |class: &str| read(&dir, &format!("cpu/kubepods/{class}/cpu.shares"));
    assert_eq!(
        (shares("burstable").as_str(), shares("besteffort").as_str()),
        ("768", "2")
    );
    // In a tree of plain files the directory isn't empty.
    fs::remove_file(dir.path().join("cpu/kubepods/burstable/podb/cpu.shares")).unwrap();
    v1.remove("b");
    assert_eq!(shares("burstable"), "256");

    let dir = unified();
    let v2 = Cgroups::new(dir.path(), "/", None);
    v2.create(&pod("a", &[("cpu", "1")], &[])).unwrap();
    v2.create(&pod("b", &[("cpu", "1")], &[])).unwrap();
    v2.create(&pod("c", &[], &[])).unwrap();
    let weight = |class: &str| read(&dir, &format!("kubepods/{class}/cpu.weight"));
    assert_eq!(
        (weight("burstable").as_str(), weight("besteffort").as_str()),
        ("78", "1")
    );
}

#[test]
fn weights_are_those_of_runc() {
    for (shares, expected) in [
        (0, 1),
        (2, 1),
        (1024, 39),
        (262_144, 10_000),
        (i64::MAX, 10_000),
    ] {
        assert_eq!(weight(shares), expected, "{shares}");
    }
}

#[test]
fn version_2_without_a_controller_is_noticed() {
    let dir = unified();
    fs::write(
        dir.path().join("cgroup.controllers"),
        "cpuset cpu io memory\n",
    )
    .unwrap();
    assert!(!Cgroups::new(dir.path(), "/", Some(1)).can_limit_pids());
    assert!(Cgroups::new(dir.path(), "/", None).can_limit_pids());
}
