//! The caches that controllers share: every kind is watched once.

use crate::{account_tokens, bootstrap_signer, bootstrap_tokens};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Informer, task};
use hardway_proto::Kind;
use hardway_proto::claims::of_pod;
use hardway_proto::meta::{ObjectKey, controller_of};
use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass, VolumeAttachment};

/// Index of pods and Jobs by the UID of their controller; of pods without one by [`orphans`].
pub const BY_CONTROLLER: &str = "controller";
/// Index of pods by the node they are bound to.
pub const BY_NODE: &str = "node";
/// Index of pods by the `namespace/name` of their claims.
pub const BY_CLAIM: &str = "claim";
/// Index of attachments by the volume.
pub const VOLUME_OF_ATTACHMENT: &str = "volume";
/// Index of attachments by the node.
pub const NODE_OF_ATTACHMENT: &str = "node";
/// Index of endpoint slices by `namespace/service`.
pub const BY_SERVICE: &str = "service";
/// Index of token Secrets by `namespace/account`.
pub const BY_ACCOUNT: &str = "account";
/// The ConfigMap that carries the cluster's CA.
pub const ROOT_CA: &str = "kube-root-ca.crt";
/// The label that ties an EndpointSlice to its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Where [`BY_CONTROLLER`] has the pods of a namespace that have no controller. No UID looks so.
pub fn orphans(namespace: &str) -> String {
    format!("{namespace}/")
}

/// Puts the key of everything that changes into a queue.
pub fn follow<K: Kind>(informer: &mut Informer<K>, queue: &WorkQueue<ObjectKey>) {
    let queue = queue.clone();
    informer.subscribe(move |change| queue.add(ObjectKey::of(change.object().as_ref())));
}

/// Not yet started; controllers subscribe first.
pub struct Informers {
    /// Pods, with [`BY_CONTROLLER`], [`BY_NODE`] and [`BY_CLAIM`].
    pub pods: Informer<Pod>,
    /// Nodes.
    pub nodes: Informer<Node>,
    /// Heartbeats of nodes.
    pub node_leases: Informer<Lease>,
    /// Namespaces.
    pub namespaces: Informer<Namespace>,
    /// Services.
    pub services: Informer<Service>,
    /// Endpoints.
    pub endpoints: Informer<Endpoints>,
    /// Endpoint slices, with [`BY_SERVICE`].
    pub endpoint_slices: Informer<EndpointSlice>,
    /// Replication controllers.
    pub replication_controllers: Informer<ReplicationController>,
    /// Deployments.
    pub deployments: Informer<Deployment>,
    /// Replica sets.
    pub replica_sets: Informer<ReplicaSet>,
    /// Stateful sets.
    pub stateful_sets: Informer<StatefulSet>,
    /// Daemon sets.
    pub daemon_sets: Informer<DaemonSet>,
    /// Templates that stateful sets and daemon sets have and had.
    pub controller_revisions: Informer<ControllerRevision>,
    /// Jobs, with [`BY_CONTROLLER`].
    pub jobs: Informer<Job>,
    /// Cron jobs.
    pub cron_jobs: Informer<CronJob>,
    /// Service accounts.
    pub service_accounts: Informer<ServiceAccount>,
    /// Secrets for the tokens of service accounts, with [`BY_ACCOUNT`].
    pub token_secrets: Informer<Secret>,
    /// The published CA, one per namespace.
    pub root_cas: Informer<ConfigMap>,
    /// Secrets with which nodes join.
    pub bootstrap_tokens: Informer<Secret>,
    /// The ConfigMap that says where the cluster is.
    pub cluster_info: Informer<ConfigMap>,
    /// Quotas of namespaces.
    pub quotas: Informer<ResourceQuota>,
    /// Autoscalers.
    pub autoscalers: Informer<HorizontalPodAutoscaler>,
    /// Disruption budgets.
    pub disruption_budgets: Informer<PodDisruptionBudget>,
    /// Claims of storage.
    pub claims: Informer<PersistentVolumeClaim>,
    /// Storage.
    pub volumes: Informer<PersistentVolume>,
    /// Sorts of storage.
    pub storage_classes: Informer<StorageClass>,
    /// What drivers of storage say of themselves.
    pub csi_drivers: Informer<CSIDriver>,
    /// What is attached where, with [`VOLUME_OF_ATTACHMENT`] and [`NODE_OF_ATTACHMENT`].
    pub attachments: Informer<VolumeAttachment>,
    /// Certificate signing requests.
    pub signing_requests: Informer<CertificateSigningRequest>,
    /// Roles of the whole cluster.
    pub cluster_roles: Informer<ClusterRole>,
}

impl Informers {
    /// Of the whole cluster.
    pub fn new(client: &Client) -> Self {
        Self {
            pods: Informer::new(client.all())
                .index(BY_CONTROLLER, |pod: &Pod| {
                    let owner = controller_of(&pod.metadata);
                    let of_none = || orphans(pod.metadata.namespace.as_deref().unwrap_or_default());
                    vec![owner.map_or_else(of_none, |owner| owner.uid.clone())]
                })
                .index(BY_NODE, |pod: &Pod| {
                    let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
                    node.into_iter().collect()
                })
                .index(BY_CLAIM, |pod: &Pod| {
                    let names = of_pod(pod).into_iter();
                    names
                        .map(|name| format!("{}/{name}", pod.namespace()))
                        .collect()
                }),
            nodes: Informer::new(client.all()),
            node_leases: Informer::new(client.namespaced("kube-node-lease")),
            namespaces: Informer::new(client.all()),
            services: Informer::new(client.all()),
            endpoints: Informer::new(client.all()),
            endpoint_slices: Informer::new(client.all()).index(
                BY_SERVICE,
                |slice: &EndpointSlice| {
                    let labels = slice.metadata.labels.as_ref();
                    let service = labels.and_then(|l| l.get(SERVICE_NAME_LABEL));
                    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
                    service
                        .map(|name| format!("{namespace}/{name}"))
                        .into_iter()
                        .collect()
                },
            ),
            replication_controllers: Informer::new(client.all()),
            deployments: Informer::new(client.all()),
            replica_sets: Informer::new(client.all()),
            stateful_sets: Informer::new(client.all()),
            daemon_sets: Informer::new(client.all()),
            controller_revisions: Informer::new(client.all()),
            jobs: Informer::new(client.all()).index(BY_CONTROLLER, |job: &Job| {
                let owner = controller_of(&job.metadata);
                owner.map(|o| o.uid.clone()).into_iter().collect()
            }),
            cron_jobs: Informer::new(client.all()),
            service_accounts: Informer::new(client.all()),
            token_secrets: Informer::new(client.all())
                .fields(format!("type={}", hardway_tokens::secret::TYPE))
                .index(BY_ACCOUNT, |secret: &Secret| {
                    account_tokens::account_of(secret).into_iter().collect()
                }),
            root_cas: Informer::new(client.all()).fields(format!("metadata.name={ROOT_CA}")),
            bootstrap_tokens: Informer::new(client.namespaced(bootstrap_tokens::NAMESPACE))
                .fields(format!("type={}", bootstrap_tokens::TYPE)),
            cluster_info: Informer::new(client.namespaced(bootstrap_signer::NAMESPACE))
                .fields(format!("metadata.name={}", bootstrap_signer::CLUSTER_INFO)),
            quotas: Informer::new(client.all()),
            autoscalers: Informer::new(client.all()),
            disruption_budgets: Informer::new(client.all()),
            claims: Informer::new(client.all()),
            volumes: Informer::new(client.all()),
            storage_classes: Informer::new(client.all()),
            csi_drivers: Informer::new(client.all()),
            attachments: Informer::new(client.all())
                .index(VOLUME_OF_ATTACHMENT, |attachment: &VolumeAttachment| {
                    let source = &attachment.spec.source;
                    source.persistent_volume_name.clone().into_iter().collect()
                })
                .index(NODE_OF_ATTACHMENT, |attachment: &VolumeAttachment| {
                    vec![attachment.spec.node_name.clone()]
                }),
            signing_requests: Informer::new(client.all()),
            cluster_roles: Informer::new(client.all()),
        }
    }

    /// Starts all of them.
    pub fn start(self, tasks: &mut task::Group) {
        tasks.add(self.pods.spawn().1);
        tasks.add(self.nodes.spawn().1);
        tasks.add(self.node_leases.spawn().1);
        tasks.add(self.namespaces.spawn().1);
        tasks.add(self.services.spawn().1);
        tasks.add(self.endpoints.spawn().1);
        tasks.add(self.endpoint_slices.spawn().1);
        tasks.add(self.replication_controllers.spawn().1);
        tasks.add(self.deployments.spawn().1);
        tasks.add(self.replica_sets.spawn().1);
        tasks.add(self.stateful_sets.spawn().1);
        tasks.add(self.daemon_sets.spawn().1);
        tasks.add(self.controller_revisions.spawn().1);
        tasks.add(self.jobs.spawn().1);
        tasks.add(self.cron_jobs.spawn().1);
        tasks.add(self.service_accounts.spawn().1);
        tasks.add(self.token_secrets.spawn().1);
        tasks.add(self.root_cas.spawn().1);
        tasks.add(self.bootstrap_tokens.spawn().1);
        tasks.add(self.cluster_info.spawn().1);
        tasks.add(self.quotas.spawn().1);
        tasks.add(self.autoscalers.spawn().1);
        tasks.add(self.disruption_budgets.spawn().1);
        tasks.add(self.claims.spawn().1);
        tasks.add(self.volumes.spawn().1);
        tasks.add(self.storage_classes.spawn().1);
        tasks.add(self.csi_drivers.spawn().1);
        tasks.add(self.attachments.spawn().1);
        tasks.add(self.signing_requests.spawn().1);
        tasks.add(self.cluster_roles.spawn().1);
    }
}
