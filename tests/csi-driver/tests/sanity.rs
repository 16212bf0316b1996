//! What the CSI specification asks of every driver: the same call twice is one, what isn't there
//! is said so, and nothing is done out of order.

use hardway_csi_driver::api::controller_server::Controller;
use hardway_csi_driver::api::node_server::Node;
use hardway_csi_driver::api::volume_capability::{AccessMode, AccessType, MountVolume};
use hardway_csi_driver::api::*;
use hardway_csi_driver::driver::{Driver, Settings};
use hardway_csi_driver::mounts::Mounts;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tonic::{Code, Request, Response, Status};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn driver(name: &str, attaches: bool) -> (Folder, Driver) {
    let root = std::env::temp_dir().join(format!("hardway-csi-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let settings = Settings {
        name: "folders.test".into(),
        node_id: "n".into(),
        root: root.clone(),
        stages: true,
        attaches,
        mount_group: false,
        limit: 0,
    };
    (
        Folder(root),
        Driver::new(settings, Arc::new(Mounts::noted())),
    )
}

fn capability() -> VolumeCapability {
    VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume::default())),
        access_mode: Some(AccessMode { mode: 1 }),
    }
}

fn create(name: &str, bytes: i64) -> Request<CreateVolumeRequest> {
    Request::new(CreateVolumeRequest {
        name: name.into(),
        capacity_range: Some(CapacityRange {
            required_bytes: bytes,
            limit_bytes: 0,
        }),
        volume_capabilities: vec![capability()],
        ..CreateVolumeRequest::default()
    })
}

fn stage(volume: &str, target: &Path) -> Request<NodeStageVolumeRequest> {
    Request::new(NodeStageVolumeRequest {
        volume_id: volume.into(),
        staging_target_path: target.display().to_string(),
        volume_capability: Some(capability()),
        ..NodeStageVolumeRequest::default()
    })
}

fn publish(volume: &str, staging: &Path, target: &Path) -> Request<NodePublishVolumeRequest> {
    Request::new(NodePublishVolumeRequest {
        volume_id: volume.into(),
        staging_target_path: staging.display().to_string(),
        target_path: target.display().to_string(),
        volume_capability: Some(capability()),
        ..NodePublishVolumeRequest::default()
    })
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<Response<T>, Status>, code: Code) {
    assert_eq!(outcome.unwrap_err().code(), code);
}

#[tokio::test]
async fn a_volume_is_made_once_and_deleted_as_often_as_one_likes() {
    let (_folder, driver) = driver("made", false);
    for _ in 0..2 {
        let made = driver.create_volume(create("v", 10)).await.unwrap();
        assert_eq!(made.into_inner().volume.unwrap().capacity_bytes, 10);
    }
    refused(
        driver.create_volume(create("v", 11)).await,
        Code::AlreadyExists,
    );
    refused(
        driver.create_volume(create("", 1)).await,
        Code::InvalidArgument,
    );
    let nothing = Request::new(CreateVolumeRequest {
        name: "w".into(),
        ..CreateVolumeRequest::default()
    });
    refused(driver.create_volume(nothing).await, Code::InvalidArgument);
    for _ in 0..2 {
        let request = DeleteVolumeRequest {
            volume_id: "v".into(),
            ..DeleteVolumeRequest::default()
        };
        driver.delete_volume(Request::new(request)).await.unwrap();
    }
    let request = DeleteVolumeRequest::default();
    refused(
        driver.delete_volume(Request::new(request)).await,
        Code::InvalidArgument,
    );
}

#[tokio::test]
async fn a_volume_is_attached_staged_and_published_in_this_order() {
    let (folder, driver) = driver("order", true);
    let (staging, target) = (folder.0.join("staging"), folder.0.join("target"));
    refused(
        driver.node_stage_volume(stage("v", &staging)).await,
        Code::NotFound,
    );
    driver.create_volume(create("v", 10)).await.unwrap();
    refused(
        driver.node_stage_volume(stage("v", &staging)).await,
        Code::FailedPrecondition,
    );
    let attach = || {
        Request::new(ControllerPublishVolumeRequest {
            volume_id: "v".into(),
            node_id: "n".into(),
            ..ControllerPublishVolumeRequest::default()
        })
    };
    driver.controller_publish_volume(attach()).await.unwrap();
    driver.controller_publish_volume(attach()).await.unwrap();
    let publish = || publish("v", &staging, &target);
    refused(
        driver.node_publish_volume(publish()).await,
        Code::FailedPrecondition,
    );
    for _ in 0..2 {
        driver
            .node_stage_volume(stage("v", &staging))
            .await
            .unwrap();
    }
    for _ in 0..2 {
        driver.node_publish_volume(publish()).await.unwrap();
    }
    for _ in 0..2 {
        let request = NodeUnpublishVolumeRequest {
            volume_id: "v".into(),
            target_path: target.display().to_string(),
        };
        driver
            .node_unpublish_volume(Request::new(request))
            .await
            .unwrap();
        assert!(!target.exists());
    }
    for _ in 0..2 {
        let request = NodeUnstageVolumeRequest {
            volume_id: "v".into(),
            staging_target_path: staging.display().to_string(),
        };
        driver
            .node_unstage_volume(Request::new(request))
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let request = ControllerUnpublishVolumeRequest {
            volume_id: "v".into(),
            node_id: "n".into(),
            ..ControllerUnpublishVolumeRequest::default()
        };
        driver
            .controller_unpublish_volume(Request::new(request))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let (folder, driver) = driver("missing", false);
    let target = folder.0.join("target");
    refused(
        driver
            .node_publish_volume(publish("v", &target, &target))
            .await,
        Code::NotFound,
    );
    refused(
        driver
            .node_publish_volume(publish("", &target, &target))
            .await,
        Code::InvalidArgument,
    );
    refused(
        driver
            .node_publish_volume(publish("../v", &target, &target))
            .await,
        Code::NotFound,
    );
    let request = NodeGetVolumeStatsRequest {
        volume_id: "v".into(),
        volume_path: "/nowhere".into(),
        ..NodeGetVolumeStatsRequest::default()
    };
    refused(
        driver.node_get_volume_stats(Request::new(request)).await,
        Code::NotFound,
    );
    let request = NodeExpandVolumeRequest::default();
    refused(
        driver.node_expand_volume(Request::new(request)).await,
        Code::InvalidArgument,
    );
    let request = ControllerPublishVolumeRequest {
        volume_id: "v".into(),
        node_id: "n".into(),
        ..ControllerPublishVolumeRequest::default()
    };
    refused(
        driver
            .controller_publish_volume(Request::new(request))
            .await,
        Code::NotFound,
    );
}
