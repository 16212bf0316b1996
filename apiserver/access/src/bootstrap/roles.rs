//! Kubernetes' default roles and bindings.

use super::table::{ClusterRole, Role};

const EVENTS: &str = "create,patch,update core,events.k8s.io events";

/// What every node may do with what isn't tied to particular objects.
pub const NODE_RULES: &[&str] = &[
    "create authentication.k8s.io tokenreviews",
    "create authorization.k8s.io subjectaccessreviews,localsubjectaccessreviews",
    "read core services",
    "create,read core nodes",
    "update,patch core nodes/status",
    "update,patch core nodes",
    EVENTS,
    "read core pods",
    "create,delete core pods",
    "update,patch core pods/status",
    "create core pods/eviction",
    "read core secrets,configmaps",
    "get core persistentvolumeclaims,persistentvolumes",
    "get core endpoints",
    "create,read certificates.k8s.io certificatesigningrequests",
    "get,create,update,patch,delete coordination.k8s.io leases",
    "get storage.k8s.io volumeattachments",
    "create core serviceaccounts/token",
    "get,update,patch core persistentvolumeclaims/status",
    "read storage.k8s.io csidrivers",
    "get,create,update,patch,delete storage.k8s.io csinodes",
    "read node.k8s.io runtimeclasses",
];

const VIEW: &[&str] = &[
    "read core pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,configmaps",
    "read core limitranges,resourcequotas,bindings,events,pods/status,resourcequotas/status,namespaces/status,replicationcontrollers/status,pods/log",
    "read core namespaces",
    "read discovery.k8s.io endpointslices",
    "read apps controllerrevisions,statefulsets,statefulsets/status,statefulsets/scale,daemonsets,daemonsets/status,deployments,deployments/status,deployments/scale,replicasets,replicasets/status,replicasets/scale",
    "read autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status",
    "read batch jobs,cronjobs,cronjobs/status,jobs/status",
    "read extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale,networkpolicies",
    "read policy poddisruptionbudgets,poddisruptionbudgets/status",
    "read networking.k8s.io networkpolicies,ingresses,ingresses/status",
];

const EDIT: &[&str] = &[
    "read core pods/attach,pods/proxy,pods/exec,pods/portforward,secrets,services/proxy",
    "impersonate core serviceaccounts",
    "write core pods,pods/attach,pods/proxy,pods/exec,pods/portforward",
    "create core pods/eviction",
    "write core replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/proxy,persistentvolumeclaims,configmaps,secrets,events",
    "create core serviceaccounts/token",
    "write apps statefulsets,statefulsets/scale,daemonsets,deployments,deployments/scale,deployments/rollback,replicasets,replicasets/scale",
    "write autoscaling horizontalpodautoscalers",
    "write batch jobs,cronjobs",
    "write extensions daemonsets,deployments,deployments/scale,deployments/rollback,ingresses,replicasets,replicasets/scale,replicationcontrollers/scale,networkpolicies",
    "write policy poddisruptionbudgets",
    "write networking.k8s.io networkpolicies,ingresses",
    "read,write coordination.k8s.io leases",
];

const ADMIN: &[&str] = &[
    "create authorization.k8s.io localsubjectaccessreviews",
    "read,write rbac.authorization.k8s.io roles,rolebindings",
];

const fn collecting(name: &'static str, adds_to: &'static str) -> ClusterRole {
    ClusterRole {
        name,
        adds_to,
        collects: true,
        rules: &[],
    }
}

const fn adding(
    name: &'static str,
    adds_to: &'static str,
    rules: &'static [&'static str],
) -> ClusterRole {
    ClusterRole {
        name,
        adds_to,
        collects: false,
        rules,
    }
}

/// ClusterRoles, other than the controllers'.
pub const CLUSTER_ROLES: &[ClusterRole] = &[
    ClusterRole::plain("cluster-admin", &["* * *", "* url *"]),
    collecting("admin", ""),
    collecting("edit", "admin"),
    collecting("view", "edit"),
    adding("system:aggregate-to-admin", "admin", ADMIN),
    adding("system:aggregate-to-edit", "edit", EDIT),
    adding("system:aggregate-to-view", "view", VIEW),
    ClusterRole::plain(
        "system:discovery",
        &[
            "get url /healthz,/livez,/readyz,/version,/version/,/openapi,/openapi/*,/api,/api/*,/apis,/apis/*",
        ],
    ),
    ClusterRole::plain(
        "system:public-info-viewer",
        &["get url /healthz,/livez,/readyz,/version,/version/"],
    ),
    ClusterRole::plain(
        "system:basic-user",
        &[
            "create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews",
            "create authentication.k8s.io selfsubjectreviews",
        ],
    ),
    ClusterRole::plain(
        "system:monitoring",
        &["get url /metrics,/metrics/slis,/healthz,/healthz/*,/livez,/livez/*,/readyz,/readyz/*"],
    ),
    ClusterRole::plain(
        "system:heapster",
        &[
            "read core events,namespaces,nodes,pods",
            "read extensions deployments",
            "get,create,update core nodes/stats",
        ],
    ),
    ClusterRole::plain("system:node", NODE_RULES),
    ClusterRole::plain(
        "system:node-problem-detector",
        &["get core nodes", "patch core nodes/status", EVENTS],
    ),
    ClusterRole::plain(
        "system:node-proxier",
        &[
            "list,watch core services,endpoints",
            "read core nodes",
            "list,watch discovery.k8s.io endpointslices",
            "list,watch networking.k8s.io servicecidrs",
            EVENTS,
        ],
    ),
    ClusterRole::plain(
        "system:flannel-lite",
        &["read,patch core nodes", "patch core nodes/status", EVENTS],
    ),
    ClusterRole::plain(
        "system:kubelet-api-admin",
        &[
            "read core nodes",
            "proxy core nodes",
            "* core nodes/proxy,nodes/metrics,nodes/stats,nodes/log,nodes/spec,nodes/checkpoint,nodes/configz,nodes/healthz,nodes/pods",
        ],
    ),
    ClusterRole::plain(
        "system:node-bootstrapper",
        &["create,read certificates.k8s.io certificatesigningrequests"],
    ),
    ClusterRole::plain(
        "system:auth-delegator",
        &[
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io subjectaccessreviews",
        ],
    ),
    ClusterRole::plain("system:kube-aggregator", &["read core services,endpoints"]),
    ClusterRole::plain(
        "system:kube-controller-manager",
        &[
            EVENTS,
            "create,read,update,patch coordination.k8s.io leases",
            "create,get,update core secrets,serviceaccounts",
            "delete core secrets",
            "create core serviceaccounts/token",
            "get core namespaces,configmaps",
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io subjectaccessreviews",
            "list,watch * *",
        ],
    ),
    ClusterRole::plain(
        "system:kube-scheduler",
        &[
            EVENTS,
            "create,list,watch coordination.k8s.io leases",
            "get,update,patch coordination.k8s.io leases kube-scheduler,hardway-scheduler",
            "read core nodes,namespaces",
            "delete,read core pods",
            "create core bindings,pods/binding",
            "patch,update core pods/status",
            "read core replicationcontrollers,services",
            "read apps,extensions replicasets",
            "read apps statefulsets",
            "read policy poddisruptionbudgets",
            "read,patch,update core persistentvolumeclaims,persistentvolumes",
            "create authentication.k8s.io tokenreviews",
            "create authorization.k8s.io subjectaccessreviews",
            "read storage.k8s.io csinodes,csidrivers,csistoragecapacities,storageclasses,volumeattachments",
            "read scheduling.k8s.io priorityclasses",
        ],
    ),
    ClusterRole::plain(
        "system:kube-dns",
        &[
            "list,watch core endpoints,services",
            "list,watch discovery.k8s.io endpointslices",
        ],
    ),
    ClusterRole::plain(
        "system:persistent-volume-provisioner",
        &[
            "create,delete,read core persistentvolumes",
            "read,update core persistentvolumeclaims",
            "read storage.k8s.io storageclasses",
            "watch core events",
            EVENTS,
        ],
    ),
    ClusterRole::plain(
        "system:volume-scheduler",
        &[
            "read,patch,update core persistentvolumes",
            "read storage.k8s.io storageclasses",
            "read,patch,update core persistentvolumeclaims",
        ],
    ),
    ClusterRole::plain(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &["create certificates.k8s.io certificatesigningrequests/nodeclient"],
    ),
    ClusterRole::plain(
        "hardway:certificatesigningrequests:node",
        &[
            "create certificates.k8s.io certificatesigningrequests/selfnodeserver,certificatesigningrequests/nodeagentclient",
        ],
    ),
    ClusterRole::plain(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &["create certificates.k8s.io certificatesigningrequests/selfnodeclient"],
    ),
    ClusterRole::plain(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &["approve certificates.k8s.io signers kubernetes.io/legacy-unknown"],
    ),
    ClusterRole::plain(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &["approve certificates.k8s.io signers kubernetes.io/kubelet-serving"],
    ),
    ClusterRole::plain(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &["approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client"],
    ),
    ClusterRole::plain(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &["approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet"],
    ),
    ClusterRole::plain(
        "system:service-account-issuer-discovery",
        &[
            "get url /.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/",
        ],
    ),
];

/// ClusterRoleBindings: name, role, subjects.
pub const BINDINGS: &[(&str, &str, &[&str])] = &[
    ("cluster-admin", "cluster-admin", &["group:system:masters"]),
    (
        "system:monitoring",
        "system:monitoring",
        &["group:system:monitoring"],
    ),
    (
        "system:discovery",
        "system:discovery",
        &["group:system:authenticated"],
    ),
    (
        "system:basic-user",
        "system:basic-user",
        &["group:system:authenticated"],
    ),
    (
        "system:public-info-viewer",
        "system:public-info-viewer",
        &["group:system:authenticated", "group:system:unauthenticated"],
    ),
    (
        "system:node-proxier",
        "system:node-proxier",
        &["user:system:kube-proxy"],
    ),
    (
        "system:kube-controller-manager",
        "system:kube-controller-manager",
        &["user:system:kube-controller-manager"],
    ),
    (
        "system:kube-scheduler",
        "system:kube-scheduler",
        &["user:system:kube-scheduler"],
    ),
    (
        "system:volume-scheduler",
        "system:volume-scheduler",
        &["user:system:kube-scheduler"],
    ),
    (
        "system:flannel-lite",
        "system:flannel-lite",
        &["group:system:flannel-lite"],
    ),
    // Kubernetes leaves this to its installer.
    (
        "system:kubelet-api-admin",
        "system:kubelet-api-admin",
        &["user:kube-apiserver-kubelet-client"],
    ),
    // Kubernetes' installers let nodes in with these (kubeadm under its name).
    (
        "hardway:kubelet-bootstrap",
        "system:node-bootstrapper",
        &["group:system:bootstrappers"],
    ),
    (
        "hardway:node-autoapprove-bootstrap",
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &["group:system:bootstrappers"],
    ),
    (
        "hardway:node-autoapprove-certificate-rotation",
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &["group:system:nodes"],
    ),
    // What nodes serve with, and the identities of kube-proxy and flannel-lite on them.
    (
        "hardway:node-autoapprove-own",
        "hardway:certificatesigningrequests:node",
        &["group:system:nodes"],
    ),
    (
        "system:kube-dns",
        "system:kube-dns",
        &["kube-system/kube-dns"],
    ),
    ("system:node", "system:node", &[]),
    (
        "system:service-account-issuer-discovery",
        "system:service-account-issuer-discovery",
        &["group:system:serviceaccounts"],
    ),
];

const MANAGER: &str = "user:system:kube-controller-manager";
const SCHEDULER: &str = "user:system:kube-scheduler";
const NODES: &str = "group:system:nodes";
const PROXY: &str = "user:system:kube-proxy";
const OVERLAY: &str = "group:system:flannel-lite";

/// Roles with their bindings.
pub const ROLES: &[Role] = &[
    Role(
        "kube-system",
        "extension-apiserver-authentication-reader",
        &["read core configmaps extension-apiserver-authentication"],
        &[MANAGER, SCHEDULER],
    ),
    Role(
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        &[
            "watch core configmaps",
            "get,update core configmaps kube-controller-manager",
            "create,read,update,patch coordination.k8s.io leases",
        ],
        &[MANAGER, "kube-system/kube-controller-manager"],
    ),
    Role(
        "kube-system",
        "system::leader-locking-kube-scheduler",
        &[
            "watch core configmaps",
            "get,update core configmaps kube-scheduler",
        ],
        &[SCHEDULER, "kube-system/kube-scheduler"],
    ),
    // A node follows the cluster's CA when it is replaced.
    Role(
        "kube-system",
        "hardway:root-ca-reader",
        &["read core configmaps kube-root-ca.crt"],
        &["group:system:nodes"],
    ),
    // Whoever speaks with apiservers knows all of them.
    Role(
        "default",
        "hardway:apiservers-reader",
        &["read discovery.k8s.io endpointslices kubernetes"],
        &[NODES, PROXY, OVERLAY, MANAGER, SCHEDULER],
    ),
    Role(
        "kube-system",
        "system:controller:bootstrap-signer",
        &["read core secrets"],
        &["kube-system/bootstrap-signer"],
    ),
    Role(
        "kube-system",
        "system:controller:token-cleaner",
        &["read,delete core secrets", EVENTS],
        &["kube-system/token-cleaner"],
    ),
    Role(
        "kube-public",
        "system:controller:bootstrap-signer",
        &[
            "read core configmaps",
            "update core configmaps cluster-info",
            EVENTS,
        ],
        &["kube-system/bootstrap-signer"],
    ),
];
