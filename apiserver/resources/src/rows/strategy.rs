//! What writes of a kind may do and what they answer, apart from the object itself:
//! the answers of Kubernetes' registry strategies (`pkg/registry/*/*/strategy.go`).

/// How a kind takes PUT and DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// Whether a PUT of an object that isn't there creates it (`AllowCreateOnUpdate`).
    pub create_on_update: bool,
    /// Whether a PUT may come without resource version, and then overwrites whatever is
    /// there (`AllowUnconditionalUpdate`).
    pub unconditional_update: bool,
    /// What becomes of dependents when a deletion doesn't say
    /// (`DefaultGarbageCollectionPolicy`).
    pub dependents: Dependents,
    /// Whether a deletion that is done answers the object rather than a Status
    /// (`ReturnDeletedObject`).
    pub returns_deleted_object: bool,
    /// Whether objects go by themselves after the time that `--event-ttl` says.
    pub expires: bool,
}

/// What becomes of the objects that an object owns when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependents {
    /// They are deleted as well.
    Deleted,
    /// They stay, without this owner.
    Orphaned,
    /// It has none, and takes no finalizers for them whatever a deletion says.
    None,
}

/// What most kinds do.
pub const ORDINARY: Strategy = Strategy {
    create_on_update: false,
    unconditional_update: true,
    dependents: Dependents::Deleted,
    returns_deleted_object: false,
    expires: false,
};

/// Two writers must not overwrite each other unknowingly.
pub const VERSIONED: Strategy = Strategy {
    unconditional_update: false,
    ..ORDINARY
};

/// A PUT creates it.
pub(super) const UPSERTED: Strategy = Strategy {
    create_on_update: true,
    ..ORDINARY
};

/// A deletion answers it.
pub(super) const RETURNED: Strategy = Strategy {
    returns_deleted_object: true,
    ..ORDINARY
};

/// What it owns stays, as it did before there was a garbage collector.
pub(super) const ORPHANING: Strategy = Strategy {
    dependents: Dependents::Orphaned,
    ..ORDINARY
};

/// Fields of metadata that a write of a subresource may change at all; of these a
/// subresource may keep some.
pub const METADATA: &[&str] = &["annotations", "finalizers", "labels", "ownerReferences"];

#[cfg(test)]
mod tests {
    use super::super::{CONNECT, CREATE, GET, Handler, PROXY, Part, READ_WRITE, all};
    use super::*;

    /// Group, kind, what its strategy says, and which metadata its status keeps, each as
    /// in Kubernetes 1.33: `pkg/registry/SOURCE/strategy.go`, and `ReturnDeletedObject` in
    /// `pkg/registry/SOURCE/storage/storage.go`. `put creates`: AllowCreateOnUpdate.
    /// `versioned`: no AllowUnconditionalUpdate. `orphans`, `no dependents`:
    /// DefaultGarbageCollectionPolicy.
    const FACTS: &str = "
        core/configmap            : ConfigMap             :                        :
        core/endpoint             : Endpoints             : put creates            :
        core/event                : Event                 : put creates, no dependents :
        core/limitrange           : LimitRange            : put creates            :
        core/namespace            : Namespace             : returned               :
        core/node                 : Node                  :                        :
        core/persistentvolume     : PersistentVolume      : returned               :
        core/persistentvolumeclaim: PersistentVolumeClaim : returned               :
        core/pod                  : Pod                   : returned               : ownerReferences
        core/podtemplate          : PodTemplate           : returned               :
        core/replicationcontroller: ReplicationController : orphans                :
        core/resourcequota        : ResourceQuota         : returned               :
        core/secret               : Secret                :                        :
        core/service              : Service               : put creates, returned  :
        core/serviceaccount       : ServiceAccount        : returned               :
        apps/controllerrevision   : ControllerRevision    :                        :
        apps/daemonset            : DaemonSet             :                        :
        apps/deployment           : Deployment            :                        : labels
        apps/replicaset           : ReplicaSet            :                        :
        apps/statefulset          : StatefulSet           :                        :
        autoscaling/horizontalpodautoscaler : HorizontalPodAutoscaler :            :
        batch/cronjob             : CronJob               :                        :
        batch/job                 : Job                   : orphans                :
        certificates/certificates : CertificateSigningRequest :                    :
        coordination/lease        : Lease                 : put creates, versioned :
        discovery/endpointslice   : EndpointSlice         :                        :
        flowcontrol/flowschema    : FlowSchema            :                        : all
        flowcontrol/prioritylevelconfiguration : PriorityLevelConfiguration :      : all
        networking/ingress        : Ingress               :                        :
        networking/ingressclass   : IngressClass          :                        :
        networking/ipaddress      : IPAddress             :                        :
        networking/networkpolicy  : NetworkPolicy         :                        :
        networking/servicecidr    : ServiceCIDR           :                        : all
        node/runtimeclass         : RuntimeClass          : put creates, versioned :
        policy/poddisruptionbudget: PodDisruptionBudget   : versioned              :
        rbac/clusterrole          : ClusterRole           : put creates            :
        rbac/clusterrolebinding   : ClusterRoleBinding    : put creates            :
        rbac/role                 : Role                  : put creates            :
        rbac/rolebinding          : RoleBinding           : put creates            :
        scheduling/priorityclass  : PriorityClass         :                        :
        storage/csidriver         : CSIDriver             : versioned, returned    :
        storage/csinode           : CSINode               : versioned, returned    :
        storage/csistoragecapacity: CSIStorageCapacity    : versioned              :
        storage/storageclass      : StorageClass          : returned               :
        storage/volumeattachment  : VolumeAttachment      : versioned, returned    : all
        admissionregistration/mutatingadmissionpolicy : MutatingAdmissionPolicy : versioned :
        admissionregistration/mutatingadmissionpolicybinding : MutatingAdmissionPolicyBinding : versioned :
        admissionregistration/mutatingwebhookconfiguration : MutatingWebhookConfiguration : versioned :
        admissionregistration/validatingadmissionpolicy : ValidatingAdmissionPolicy : versioned : all
        admissionregistration/validatingadmissionpolicybinding : ValidatingAdmissionPolicyBinding : versioned :
        admissionregistration/validatingwebhookconfiguration : ValidatingWebhookConfiguration : versioned :
        apiextensions-apiserver/customresourcedefinition : CustomResourceDefinition : versioned :
        kube-aggregator/apiservice : APIService            : versioned              : all
    ";

    #[test]
    fn every_kind_is_written_as_in_kubernetes() {
        let mut unseen: Vec<&str> = FACTS.lines().filter(|l| !l.trim().is_empty()).collect();
        for row in all().filter(|row| row.shows.is_none() && row.verbs.contains(&"update")) {
            let at = unseen.iter().position(|line| {
                let kind = line.split(':').nth(1).unwrap_or_default();
                kind.trim() == row.kind
            });
            let at = at.unwrap_or_else(|| panic!("{}: say what its strategy is", row.kind));
            let line = unseen.remove(at);
            let mut columns = line.split(':').skip(2).map(str::trim);
            let said = columns.next().unwrap_or_default();
            let kept = columns.next().unwrap_or_default();
            let Strategy {
                create_on_update,
                unconditional_update,
                dependents,
                returns_deleted_object,
                expires,
            } = row.strategy;
            let mut is = Vec::new();
            for (holds, word) in [
                (create_on_update, "put creates"),
                (!unconditional_update, "versioned"),
                (dependents == Dependents::Orphaned, "orphans"),
                (dependents == Dependents::None, "no dependents"),
                (returns_deleted_object, "returned"),
            ] {
                is.extend(holds.then_some(word));
            }
            assert_eq!(is.join(", "), said, "{}", row.kind);
            assert_eq!(expires, row.kind == "Event");
            let status = row.subresources.iter().find(|sub| sub.name == "status");
            let keeps = status.map_or(&[][..], |sub| sub.keeps);
            let keeps = match keeps == METADATA {
                true => "all".to_owned(),
                false => keeps.join(", "),
            };
            assert_eq!(keeps, kept, "status of {}", row.kind);
        }
        assert_eq!(unseen, [""; 0], "kinds that aren't there");
    }

    /// What is shown in another version is written as it is where it is kept; only that
    /// its dependents stay is of the version (the same `strategy.go`, which asks for it).
    #[test]
    fn old_versions_orphan_and_are_else_the_same() {
        for row in all() {
            let Some((group, version)) = row.shows else {
                continue;
            };
            let kept = all().find(|other| {
                other.shows.is_none()
                    && (other.group, other.kind) == (group, row.kind)
                    && other.versions.contains(&version)
            });
            let kept = kept.expect("the registry's test says so");
            let orphans = matches!(
                (row.group, row.versions[0], row.kind),
                ("extensions", _, "DaemonSet" | "Deployment" | "ReplicaSet")
                    | ("batch", "v1beta1", "CronJob")
            ) || row.group == "apps" && row.kind != "ControllerRevision";
            let expected = match orphans {
                true => Dependents::Orphaned,
                false => kept.strategy.dependents,
            };
            let expected = Strategy {
                dependents: expected,
                ..kept.strategy
            };
            assert_eq!(row.strategy, expected, "{} {}", row.versions[0], row.kind);
            for sub in row.subresources {
                let same = kept
                    .subresources
                    .iter()
                    .find(|other| other.name == sub.name);
                if let Some(same) = same {
                    assert_eq!(
                        (sub.handler, sub.keeps),
                        (same.handler, same.keeps),
                        "{}",
                        row.kind
                    );
                }
            }
        }
    }

    #[test]
    fn verbs_are_those_of_what_a_subresource_is() {
        for sub in all().flat_map(|row| row.subresources) {
            let verbs: &[&[&str]] = match sub.handler {
                Handler::Part(Part::Finalizers) => &[&["update"]],
                Handler::Part(_) => &[READ_WRITE],
                Handler::Action(_) => &[CREATE],
                Handler::Stream(_) => &[CONNECT, GET, PROXY],
            };
            assert!(verbs.contains(&sub.verbs), "{}: {:?}", sub.name, sub.verbs);
        }
    }
}
