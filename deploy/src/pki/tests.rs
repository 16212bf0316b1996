use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::plan::Plan;

fn hosts(workers: u8) -> Vec<Host> {
    Plan::of_lab(0, workers).hosts()
}

fn leaf(file: &str) -> Leaf {
    leaves(&hosts(2))
        .into_iter()
        .find(|leaf| leaf.file == file)
        .unwrap()
}

#[test]
fn identities_carry_kubernetes_names() {
    let kubelet = leaf("kubelet-worker-2");
    assert_eq!(kubelet.common_name, "system:node:worker-2");
    assert_eq!(kubelet.organizations, ["system:nodes"]);
    assert!(kubelet.client && !kubelet.server);
    let overlay = leaf("flannel-lite-worker-2");
    assert_eq!(overlay.common_name, "system:flannel-lite:worker-2");
    assert_eq!(overlay.organizations, ["system:flannel-lite"]);
    // Only people are above all rules; no process is.
    for leaf in leaves(&hosts(2)) {
        let master = leaf.organizations.iter().any(|o| o == "system:masters");
        assert_eq!(master, leaf.file == "admin", "{}", leaf.file);
    }
    assert_eq!(leaf("scheduler").common_name, "system:kube-scheduler");
    let names = leaf("apiserver").names;
    for name in [
        "kubernetes.default.svc.cluster.local",
        "10.96.0.1",
        "10.88.0.10",
        "localhost",
    ] {
        assert!(names.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn stored_certificates_say_what_was_asked_and_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    let now = SystemTime::now();
    assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "20 issued");
    assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "all 20 kept");
    for name in ["ca", "sa", "admin", "apiserver"] {
        let mode = std::fs::metadata(pki.key(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let der = der_of(&shell::read_text(&pki.certificate("apiserver")).unwrap()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(
        describe(&certificate, &leaf("apiserver")),
        leaf("apiserver")
    );
    assert!(!certificate.is_ca());
    // A changed plan, a lost key, another's key: only those are issued again.
    std::fs::remove_file(pki.key("scheduler")).unwrap();
    std::fs::copy(pki.key("admin"), pki.key("controller-manager")).unwrap();
    assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "2 issued");
    assert_eq!(pki.ensure(&hosts(3), now).unwrap(), "4 issued");
}

#[test]
fn a_certificate_with_more_rights_than_planned_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    let now = SystemTime::now();
    pki.ensure(&hosts(2), now).unwrap();
    let mut former = leaf("apiserver-kubelet-client");
    former.organizations = vec!["system:masters".into()];
    let authority = pki.authority(CLUSTER_CA, now).unwrap();
    pki.issue(&former, &authority, now, YEAR).unwrap();
    assert!(pki.is_good(&former, &authority, now));
    assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "1 issued");
    assert!(!pki.is_good(&former, &authority, now));
}

#[test]
fn renewed_at_two_thirds_of_life_and_after_a_new_ca() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    let now = SystemTime::now();
    pki.ensure(&hosts(2), now).unwrap();
    assert_eq!(
        pki.ensure(&hosts(2), now + YEAR / 2).unwrap(),
        "all 20 kept"
    );
    // The authorities and the service account key outlive the 16 others.
    assert_eq!(
        pki.ensure(&hosts(2), now + YEAR / 4 * 3).unwrap(),
        "16 issued"
    );
    std::fs::remove_file(pki.key(ETCD_CA)).unwrap();
    assert_eq!(
        pki.ensure(&hosts(2), now + YEAR / 4 * 3).unwrap(),
        "3 issued"
    );
}
#[test]
fn due_at_two_thirds_of_its_life() {
    let at = |now| is_due(1000, 1300, now);
    assert!(!at(1000) && !at(1199));
    assert!(at(1200) && at(1300) && at(5000));
    // The clock was wrong when it was made, or is now.
    assert!(at(999));
}

#[test]
fn only_what_is_due_is_renewed_and_keeps_its_owner_and_mode() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    let (all, now) = (leaves(&hosts(0)), SystemTime::now());
    pki.ensure(&hosts(0), now).unwrap();
    let hour = Duration::from_secs(3600);
    let news = |done: Vec<Renewed>| -> Vec<String> {
        let new = done.into_iter().filter(|it| it.is_new);
        new.map(|it| it.file).collect()
    };
    let renew = |now, every| news(pki.renew(&all, now, hour, every).unwrap());
    assert!(renew(now + YEAR / 2, false).is_empty());
    // A service that isn't root reads its key by its group.
    let mode = |name: &str| {
        let file = std::fs::metadata(pki.key(name)).unwrap();
        file.permissions().mode() & 0o777
    };
    let for_its_group = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(pki.key("scheduler"), for_its_group).unwrap();
    let ca = std::fs::read(pki.certificate(CLUSTER_CA)).unwrap();
    assert_eq!(renew(now, true).len(), all.len());
    assert_eq!((mode("scheduler"), mode("apiserver")), (0o640, 0o600));
    assert_eq!(std::fs::read(pki.certificate(CLUSTER_CA)).unwrap(), ca);
    assert!(renew(now + hour / 2, false).is_empty());
    assert_eq!(renew(now + hour / 4 * 3, false).len(), all.len());
    std::fs::remove_file(pki.certificate("admin")).unwrap();
    assert_eq!(renew(now + hour, false), ["admin"]);
    let left_over = std::fs::read_dir(folder.path()).unwrap();
    let mut names = left_over.map(|entry| entry.unwrap().file_name());
    assert!(!names.any(|name| name.to_string_lossy().ends_with(".new")));
}

#[test]
fn a_ca_signs_to_its_end_and_is_never_made_anew_by_a_renewal() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    let (all, now) = (leaves(&hosts(0)), SystemTime::now());
    pki.ensure(&hosts(0), now).unwrap();
    let late = now + CA_LIFE - Duration::from_secs(86400);
    let ca = pki.authority(CLUSTER_CA, late).unwrap();
    for renewed in pki.renew(&all, late, YEAR, false).unwrap() {
        assert_eq!(
            renewed.is_new,
            !["ca", "etcd-ca", "front-proxy-ca"].contains(&&*renewed.file)
        );
        assert!(renewed.ends <= ca.ends + 60, "{renewed:?}");
    }
    let over = pki
        .renew(&all, now + CA_LIFE + YEAR, YEAR, false)
        .unwrap_err();
    assert_eq!(over.why, "it has expired");
    std::fs::remove_file(pki.key(ETCD_CA)).unwrap();
    let lost = pki.renew(&all, now, YEAR, true).unwrap_err();
    assert!(lost.way_out.unwrap().contains("bring the key back"));
    assert!(!pki.key(ETCD_CA).exists());
    // A cluster from before there was a front proxy gets its CA; one that has lost a half
    // of it doesn't.
    let pki = Pki::new(&folder.path().join("other"));
    pki.ensure(&hosts(0), now).unwrap();
    let files = [
        pki.certificate(FRONT_PROXY_CA),
        pki.key(FRONT_PROXY_CA),
        pki.certificate("front-proxy-client"),
    ];
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    let done = pki.renew(&all, now, YEAR, false).unwrap();
    let new: Vec<&str> = done
        .iter()
        .filter(|it| it.is_new)
        .map(|it| it.file.as_str())
        .collect();
    assert_eq!(new, ["front-proxy-client"]);
    std::fs::remove_file(&files[1]).unwrap();
    assert!(pki.renew(&all, now, YEAR, true).is_err());
}

#[test]
fn cas_that_have_ended_are_made_anew_and_what_they_signed_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    let (then, now) = (SystemTime::now() - 11 * YEAR, SystemTime::now());
    pki.ensure(&hosts(1), then).unwrap();
    assert!(pki.replace_ended(then + YEAR).unwrap().is_empty());
    let failure = pki.renew(&leaves(&hosts(1)), now, YEAR, false).unwrap_err();
    assert!(failure.way_out.unwrap().contains("certificates recover"));
    assert_eq!(
        pki.replace_ended(now).unwrap(),
        [CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA]
    );
    let all = leaves(&hosts(1));
    let done = pki.renew(&all, now, YEAR, false).unwrap();
    assert_eq!(done.iter().filter(|it| it.is_new).count(), all.len());
    assert!(pki.replace_ended(now).unwrap().is_empty());
}

#[test]
fn of_two_certificates_in_a_file_the_one_of_the_key_signs() {
    let folder = tempfile::tempdir().unwrap();
    let (pki, now) = (Pki::new(folder.path()), SystemTime::now());
    pki.ensure(&hosts(0), now).unwrap();
    let own = shell::read_text(&pki.certificate(CLUSTER_CA)).unwrap();
    let (other, key) = new_authority(CLUSTER_CA, now).unwrap();
    for bundle in [format!("{own}{other}"), format!("{other}{own}")] {
        shell::write_file(&pki.certificate(CLUSTER_CA), bundle.as_bytes(), 0o644).unwrap();
        let said = pki.ensure(&hosts(0), now).unwrap();
        assert!(said.ends_with("kept"), "{said}");
    }
    // With the other's key all that it has to sign is issued by it.
    shell::write_file(&pki.key(CLUSTER_CA), key.as_bytes(), 0o600).unwrap();
    pki.renew(&leaves(&hosts(0)), now, YEAR, false).unwrap();
    let leaf = der_of(&shell::read_text(&pki.certificate("apiserver")).unwrap()).unwrap();
    assert!(is_issued_by(&leaf, &der_of(&other).unwrap()));
    assert!(!is_issued_by(&leaf, &der_of(&own).unwrap()));
}
