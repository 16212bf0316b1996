/** Which kinds there are, and under which paths of the API they stand. */

export interface Kind {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  /** Absent where discovery was not asked: then the common ones. */
  verbs?: string[];
}

function row(groupVersion: string, plural: string, kind: string, namespaced = true): Kind {
  const [group, version] = groupVersion.includes("/") ? groupVersion.split("/") : ["", groupVersion];
  return { group: group ?? "", version: version ?? "", plural, kind, namespaced };
}

/** The kinds that have views of their own. Others are found by discovery. */
export const KINDS: Kind[] = [
  row("v1", "pods", "Pod"),
  row("v1", "nodes", "Node", false),
  row("v1", "namespaces", "Namespace", false),
  row("v1", "services", "Service"),
  row("v1", "events", "Event"),
  row("v1", "configmaps", "ConfigMap"),
  row("v1", "secrets", "Secret"),
  row("v1", "serviceaccounts", "ServiceAccount"),
  row("v1", "resourcequotas", "ResourceQuota"),
  row("v1", "limitranges", "LimitRange"),
  row("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
  row("v1", "persistentvolumes", "PersistentVolume", false),
  row("apps/v1", "deployments", "Deployment"),
  row("apps/v1", "statefulsets", "StatefulSet"),
  row("apps/v1", "daemonsets", "DaemonSet"),
  row("apps/v1", "replicasets", "ReplicaSet"),
  row("apps/v1", "controllerrevisions", "ControllerRevision"),
  row("batch/v1", "jobs", "Job"),
  row("batch/v1", "cronjobs", "CronJob"),
  row("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
  row("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
  row("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
  row("networking.k8s.io/v1", "ingresses", "Ingress"),
  row("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
  row("storage.k8s.io/v1", "storageclasses", "StorageClass", false),
];

/** A kind of the table above by its plural name; the caller names one that is in it. */
export function kindOf(plural: string): Kind {
  const found = KINDS.find((kind) => kind.plural === plural);
  if (found === undefined) throw new Error(`no kind is called ${plural}`);
  return found;
}

export function groupVersion(kind: Kind): string {
  return kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
}

/**
 * The path of a collection, or of one object, below the API's root. An empty namespace means
 * all of them.
 */
export function pathOf(kind: Kind, namespace = "", name = "", subresource = ""): string {
  const root = kind.group === "" ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const parts = [root];
  if (kind.namespaced && namespace !== "") parts.push("namespaces", encodeURIComponent(namespace));
  parts.push(kind.plural);
  if (name !== "") parts.push(encodeURIComponent(name));
  if (subresource !== "") parts.push(subresource);
  return parts.join("/");
}

/** The page's address of one object. */
export function linkTo(kind: Kind, namespace: string | undefined, name: string, tab = ""): string {
  const group = kind.group === "" ? "core" : kind.group;
  const place = [group, kind.version, kind.plural, namespace || "_", name].map(encodeURIComponent).join("/");
  return `#/object/${place}${tab === "" ? "" : `?tab=${tab}`}`;
}

/** The page's address of what a reference names (an event's object, an owner), if its kind is known. */
export function linkToReference(reference: { kind?: string; namespace?: string; name?: string }): string | undefined {
  const kind = KINDS.find((known) => known.kind === reference.kind);
  if (kind === undefined || reference.name === undefined) return undefined;
  return linkTo(kind, kind.namespaced ? reference.namespace : undefined, reference.name);
}
