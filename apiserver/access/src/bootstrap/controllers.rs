//! What each controller may do. Kubernetes runs every controller as a service
//! account of its own; here they also share `system:kube-controller-manager`.

const EVENTS: &str = "create,patch,update core,events.k8s.io events";

/// Controllers' names and rules; see `table` for how a rule is written.
pub const CONTROLLERS: &[(&str, &[&str])] = &[
    (
        "attachdetach-controller",
        &[
            "read core persistentvolumes,persistentvolumeclaims,nodes,pods",
            "patch,update core nodes/status",
            "read,create,delete storage.k8s.io volumeattachments",
            "read storage.k8s.io csidrivers,csinodes",
            EVENTS,
        ],
    ),
    (
        "certificate-controller",
        &[
            "read,delete certificates.k8s.io certificatesigningrequests",
            "update,patch certificates.k8s.io certificatesigningrequests/status,certificatesigningrequests/approval",
            "approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet",
            // Beyond Kubernetes: what nodes serve with, and their agents' identities.
            "approve certificates.k8s.io signers kubernetes.io/kubelet-serving,kubernetes.io/kube-apiserver-client",
            "sign certificates.k8s.io signers kubernetes.io/legacy-unknown,kubernetes.io/kubelet-serving,kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet",
            "create authorization.k8s.io subjectaccessreviews",
            EVENTS,
        ],
    ),
    (
        "clusterrole-aggregation-controller",
        &["escalate,get,list,patch,update,watch rbac.authorization.k8s.io clusterroles"],
    ),
    (
        "cronjob-controller",
        &[
            "get,list,watch,update,patch batch cronjobs",
            "create,delete,get,list,patch,update,watch batch jobs",
            "update,patch batch cronjobs/status,cronjobs/finalizers",
            "list,delete core pods",
            EVENTS,
        ],
    ),
    (
        "daemon-set-controller",
        &[
            "read apps daemonsets",
            "update,patch apps daemonsets/status,daemonsets/finalizers",
            "list,watch,get core nodes",
            "create,delete,get,list,patch,watch core pods",
            "create core pods/binding",
            "create,delete,get,list,patch,update,watch apps controllerrevisions",
            EVENTS,
        ],
    ),
    (
        "deployment-controller",
        &[
            "get,list,watch,update,patch apps deployments",
            "update,patch apps deployments/status,deployments/finalizers",
            "create,delete,get,list,patch,update,watch apps replicasets",
            "get,list,update,watch core pods",
            EVENTS,
        ],
    ),
    (
        "disruption-controller",
        &[
            "read apps deployments,replicasets,statefulsets",
            "read core replicationcontrollers,pods",
            "read policy poddisruptionbudgets",
            "update,patch policy poddisruptionbudgets/status",
            "patch,update core pods/status",
            "get * */scale",
            EVENTS,
        ],
    ),
    (
        "endpoint-controller",
        &[
            "read core services,pods",
            "create,delete,get,list,patch,update,watch core endpoints",
            "create core endpoints/restricted",
            EVENTS,
        ],
    ),
    (
        "endpointslice-controller",
        &[
            "read core services,pods,nodes",
            "update core services/finalizers",
            "create,delete,get,list,patch,update,watch discovery.k8s.io endpointslices",
            "create discovery.k8s.io endpointslices/restricted",
            EVENTS,
        ],
    ),
    (
        "endpointslicemirroring-controller",
        &[
            "read core services,endpoints",
            "update core services/finalizers,endpoints/finalizers",
            "create,delete,get,list,patch,update,watch discovery.k8s.io endpointslices",
            "create discovery.k8s.io endpointslices/restricted",
            EVENTS,
        ],
    ),
    (
        "ephemeral-volume-controller",
        &[
            "read core pods",
            "update core pods/finalizers",
            "read,create core persistentvolumeclaims",
            EVENTS,
        ],
    ),
    (
        "expand-controller",
        &[
            "get,list,patch,update,watch core persistentvolumes,persistentvolumeclaims",
            "update,patch core persistentvolumeclaims/status",
            "read storage.k8s.io storageclasses",
            EVENTS,
        ],
    ),
    (
        "generic-garbage-collector",
        &["delete,get,list,patch,update,watch * *", EVENTS],
    ),
    (
        "horizontal-pod-autoscaler",
        &[
            "read autoscaling horizontalpodautoscalers",
            "update,patch autoscaling horizontalpodautoscalers/status",
            "get,update,patch * */scale",
            "list,get core pods",
            "list metrics.k8s.io pods",
            "get,list custom.metrics.k8s.io,external.metrics.k8s.io *",
            EVENTS,
        ],
    ),
    (
        "job-controller",
        &[
            "get,list,watch,update,patch batch jobs",
            "update,patch batch jobs/status,jobs/finalizers",
            "create,delete,list,get,patch,watch core pods",
            EVENTS,
        ],
    ),
    (
        "namespace-controller",
        &[
            "delete,get,list,watch core namespaces",
            "update,patch core namespaces/finalize,namespaces/status",
            "delete,deletecollection,get,list * *",
        ],
    ),
    (
        "node-controller",
        &[
            "delete,get,list,patch,update,watch core nodes",
            "patch,update core nodes/status,pods/status",
            "delete,get,list,patch,watch core pods",
            "create core pods/eviction",
            "read coordination.k8s.io leases",
            "get,list,watch,create,update networking.k8s.io clustercidrs",
            EVENTS,
        ],
    ),
    (
        "persistent-volume-binder",
        &[
            "create,delete,get,list,patch,update,watch core persistentvolumes,pods",
            "update,patch core persistentvolumes/status,persistentvolumeclaims/status",
            "get,list,patch,update,watch core persistentvolumeclaims",
            "read storage.k8s.io storageclasses,csinodes",
            "read core nodes",
            EVENTS,
        ],
    ),
    (
        "pod-garbage-collector",
        &[
            "delete,get,list,watch core pods",
            "patch,update core pods/status",
            "get,list,watch core nodes",
        ],
    ),
    (
        "pv-protection-controller",
        &["get,list,patch,update,watch core persistentvolumes", EVENTS],
    ),
    (
        "pvc-protection-controller",
        &[
            "get,list,patch,update,watch core persistentvolumeclaims",
            "get,list,watch core pods",
            EVENTS,
        ],
    ),
    (
        "replicaset-controller",
        &[
            "get,list,watch,update,patch apps replicasets",
            "update,patch apps replicasets/status,replicasets/finalizers",
            "create,delete,get,list,patch,watch core pods",
            EVENTS,
        ],
    ),
    (
        "replication-controller",
        &[
            "get,list,watch,update,patch core replicationcontrollers",
            "update,patch core replicationcontrollers/status,replicationcontrollers/finalizers",
            "create,delete,get,list,patch,watch core pods",
            EVENTS,
        ],
    ),
    (
        "resourcequota-controller",
        &[
            "list,watch * *",
            "update,patch core resourcequotas/status",
            EVENTS,
        ],
    ),
    (
        "root-ca-cert-publisher",
        &["create,get,list,watch,update,patch core configmaps", EVENTS],
    ),
    (
        "service-account-controller",
        &["create,get,list,watch core serviceaccounts", EVENTS],
    ),
    (
        "statefulset-controller",
        &[
            "list,watch,get core pods",
            "read apps statefulsets",
            "update,patch apps statefulsets/status,statefulsets/finalizers",
            "get,create,delete,update,patch core pods",
            "create,delete,get,list,patch,update,watch apps controllerrevisions",
            "create,get,list,watch,update,delete core persistentvolumeclaims",
            EVENTS,
        ],
    ),
    (
        "ttl-after-finished-controller",
        &["delete,get,list,watch batch jobs", EVENTS],
    ),
    (
        "ttl-controller",
        &["list,patch,update,watch core nodes", EVENTS],
    ),
];
