//! An etcd of another cluster under the same CA, as where one host was restored and the others went
//! on.

use crate::common::{Lab, MAPS, config_map};

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_of_another_cluster_is_never_gone_to() {
    let (mut lab, mut cluster) = Lab::on_three().await;
    // It was stopped in the middle of its first start.
    std::fs::remove_dir_all(lab.dir.path().join("etcd")).unwrap();
    lab.etcd.start();
    let foreign = lab.etcd.url();
    let urls = cluster.urls(0);
    lab.etcd_url = Some(format!("{urls},{foreign}"));
    lab.serve_another().await;
    let (code, made) = lab.post(MAPS, &config_map("first")).await;
    assert_eq!(code, 201, "{made}");

    for member in 0..3 {
        cluster.kill(member);
    }
    let (code, status) = lab.post(MAPS, &config_map("lost")).await;
    assert!(matches!(code, 500 | 503 | 504), "{status}");
    let (code, status) = lab.get(&format!("{MAPS}/first")).await;
    assert!(matches!(code, 500 | 503 | 504), "{status}");
    let mut past = lab.etcd_client().await;
    let all = etcd_client::GetOptions::new().with_all_keys();
    let there = past.get("", Some(all)).await.unwrap();
    assert!(there.kvs().is_empty(), "{:?}", there.kvs());

    for member in 0..3 {
        cluster.restart(member);
    }
    lab.until("a write", async || {
        let (code, _) = lab.post(MAPS, &config_map("second")).await;
        matches!(code, 201 | 409)
    })
    .await;
    assert_eq!(lab.get(&format!("{MAPS}/first")).await.0, 200);
}
