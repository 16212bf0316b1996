//! The plugins and stages that there are, and in which order they have their turn.

use super::{
    Plugin, Stage, certificates, claim_resize, default_ingress_class, default_storage_class,
    default_tolerations, deny_external_ips, extended_resources, limit_ranger, namespace_lifecycle,
    node_restriction, pod_security, policies, priority, resource_quota, runtime_class,
    service_account, storage_in_use, taint_nodes, webhooks,
};

/// A plugin or stage of the chain.
pub(super) struct Entry {
    /// Kubernetes' name.
    pub name: &'static str,
    /// Whether it is on unless switched off.
    pub default: bool,
    /// Where it has a turn.
    pub phases: Phases,
    /// What it is.
    pub make: Make,
}

/// In which phases of admission something has a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phases {
    /// It changes objects.
    Mutating,
    /// It refuses writes.
    Validating,
    /// Both.
    Both,
    /// It refuses writes by what else there is, in the turn of the write.
    InTurn,
}

/// Which of those that may refuse a write are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validators {
    /// All, one after the other.
    All,
    /// All that need not know what else is being written, so that no write waits for another
    /// one's webhooks.
    BeforeTurn,
    /// The rest, when nothing else is written.
    InTurn,
}

impl Phases {
    /// Whether it may change objects.
    pub fn mutate(self) -> bool {
        matches!(self, Self::Mutating | Self::Both)
    }

    /// Whether it may refuse them in the end, and is one of these.
    pub fn validate(self, which: Validators) -> bool {
        match which {
            Validators::All => self != Self::Mutating,
            Validators::BeforeTurn => matches!(self, Self::Validating | Self::Both),
            Validators::InTurn => self == Self::InTurn,
        }
    }
}

/// How a link is made.
pub(super) enum Make {
    Plugin(fn() -> Box<dyn Plugin>),
    Stage(fn() -> Box<dyn Stage>),
}

const fn plugin(name: &'static str, phases: Phases, make: fn() -> Box<dyn Plugin>) -> Entry {
    Entry {
        name,
        default: true,
        phases,
        make: Make::Plugin(make),
    }
}

const fn stage(name: &'static str, phases: Phases, make: fn() -> Box<dyn Stage>) -> Entry {
    Entry {
        name,
        default: true,
        phases,
        make: Make::Stage(make),
    }
}

/// One that has to be switched on.
const fn off(entry: Entry) -> Entry {
    Entry {
        default: false,
        ..entry
    }
}

/// The chain in Kubernetes' order (`AllOrderedPlugins`).
pub(super) const PLUGINS: &[Entry] = &[
    plugin("NamespaceLifecycle", Phases::Both, || {
        Box::new(namespace_lifecycle::NamespaceLifecycle)
    }),
    plugin("LimitRanger", Phases::Both, || {
        Box::new(limit_ranger::LimitRanger)
    }),
    plugin("ServiceAccount", Phases::Both, || {
        Box::new(service_account::ServiceAccount)
    }),
    plugin("NodeRestriction", Phases::Validating, || {
        Box::new(node_restriction::NodeRestriction)
    }),
    plugin("TaintNodesByCondition", Phases::Mutating, || {
        Box::new(taint_nodes::TaintNodesByCondition)
    }),
    plugin("PodSecurity", Phases::Validating, || {
        Box::new(pod_security::PodSecurity)
    }),
    plugin("Priority", Phases::Both, || Box::new(priority::Priority)),
    plugin("DefaultTolerationSeconds", Phases::Mutating, || {
        Box::new(default_tolerations::DefaultTolerationSeconds)
    }),
    off(plugin(
        "ExtendedResourceToleration",
        Phases::Mutating,
        || Box::new(extended_resources::ExtendedResourceToleration),
    )),
    plugin("DefaultStorageClass", Phases::Mutating, || {
        Box::new(default_storage_class::DefaultStorageClass)
    }),
    plugin("StorageObjectInUseProtection", Phases::Mutating, || {
        Box::new(storage_in_use::StorageObjectInUseProtection)
    }),
    plugin("PersistentVolumeClaimResize", Phases::Validating, || {
        Box::new(claim_resize::PersistentVolumeClaimResize)
    }),
    plugin("RuntimeClass", Phases::Both, || {
        Box::new(runtime_class::RuntimeClass)
    }),
    plugin("CertificateApproval", Phases::Validating, || {
        Box::new(certificates::Approval)
    }),
    plugin("CertificateSigning", Phases::Validating, || {
        Box::new(certificates::Signing)
    }),
    plugin("CertificateSubjectRestriction", Phases::Validating, || {
        Box::new(certificates::SubjectRestriction)
    }),
    plugin("DefaultIngressClass", Phases::Mutating, || {
        Box::new(default_ingress_class::DefaultIngressClass)
    }),
    off(plugin("DenyServiceExternalIPs", Phases::Validating, || {
        Box::new(deny_external_ips::DenyServiceExternalIps)
    })),
    stage("MutatingAdmissionPolicy", Phases::Mutating, || {
        Box::<policies::Mutating>::default()
    }),
    stage("MutatingAdmissionWebhook", Phases::Mutating, || {
        Box::<webhooks::Mutating>::default()
    }),
    stage("ValidatingAdmissionPolicy", Phases::Validating, || {
        Box::<policies::Validating>::default()
    }),
    stage("ValidatingAdmissionWebhook", Phases::Validating, || {
        Box::<webhooks::Validating>::default()
    }),
    plugin("ResourceQuota", Phases::InTurn, || {
        Box::new(resource_quota::ResourceQuota::default())
    }),
];

/// A plugin that doesn't exist.
#[derive(Debug, thiserror::Error)]
#[error("admission plugin {0:?} is unknown; there are {known}", known = names())]
pub struct UnknownPlugin(pub(super) String);

fn names() -> String {
    let names: Vec<&str> = PLUGINS.iter().map(|entry| entry.name).collect();
    names.join(", ")
}
