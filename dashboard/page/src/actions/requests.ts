/** The requests behind the page's actions: what is sent, apart from sending it. */

import { type Call, Media } from "../cluster/api";
import { groupVersion, type Kind, kindOf, pathOf } from "../cluster/kinds";
import type { ControllerRevision, CronJob, KubeObject, Pod, Workload } from "../cluster/objects";

/** Whom the API server is told that the fields come from. */
const MANAGER = "hardway-dashboard";

export interface Request {
  path: string;
  call: Call;
}

function patch(path: string, contentType: string, body: unknown): Request {
  return { path, call: { method: "PATCH", contentType, body, query: { fieldManager: MANAGER } } };
}

function place(kind: Kind, object: KubeObject, subresource = ""): string {
  return pathOf(kind, object.metadata.namespace, object.metadata.name, subresource);
}

export function scale(kind: Kind, object: KubeObject, replicas: number): Request {
  return patch(place(kind, object, "scale"), Media.mergePatch, { spec: { replicas } });
}

/** As `kubectl rollout restart` does it. */
export function restart(kind: Kind, object: KubeObject, at: string): Request {
  const annotations = { "kubectl.kubernetes.io/restartedAt": at };
  return patch(place(kind, object), Media.strategicPatch, { spec: { template: { metadata: { annotations } } } });
}

export function pause(kind: Kind, object: KubeObject, paused: boolean): Request {
  return patch(place(kind, object), Media.mergePatch, { spec: { paused } });
}

/** Gives a Deployment the template of one of its ReplicaSets again. */
export function rollBackDeployment(deployment: Workload, set: Workload): Request {
  const { "pod-template-hash": _, ...labels } = set.spec.template.metadata?.labels ?? {};
  const template = { ...set.spec.template, metadata: { ...set.spec.template.metadata, labels } };
  return patch(place(kindOf("deployments"), deployment), Media.jsonPatch, [
    { op: "test", path: "/metadata/uid", value: deployment.metadata.uid },
    { op: "replace", path: "/spec/template", value: template },
  ]);
}

/** Gives a StatefulSet or DaemonSet the template that a ControllerRevision keeps. */
export function rollBackToRevision(kind: Kind, object: KubeObject, revision: ControllerRevision): Request {
  return patch(place(kind, object), Media.strategicPatch, revision.data ?? {});
}

export function suspend(kind: Kind, object: KubeObject, suspended: boolean): Request {
  return patch(place(kind, object), Media.mergePatch, { spec: { suspend: suspended } });
}

/** A Job of a CronJob now, as `kubectl create job --from` makes it. */
export function runNow(cronJob: CronJob, at: number): Request {
  const { name, namespace, uid } = cronJob.metadata;
  return {
    path: pathOf(kindOf("jobs"), namespace),
    call: {
      method: "POST",
      query: { fieldManager: MANAGER },
      body: {
        apiVersion: "batch/v1",
        kind: "Job",
        metadata: {
          name: `${name.slice(0, 40)}-manual-${Math.floor(at / 1000).toString(36)}`,
          annotations: { "cronjob.kubernetes.io/instantiate": "manual" },
          ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name, uid, controller: true }],
        },
        spec: cronJob.spec.jobTemplate.spec,
      },
    },
  };
}

export function cordon(node: KubeObject, unschedulable: boolean): Request {
  return patch(place(kindOf("nodes"), node), Media.mergePatch, { spec: { unschedulable: unschedulable || null } });
}

export function evict(pod: Pod): Request {
  const { name, namespace, uid } = pod.metadata;
  return {
    path: place(kindOf("pods"), pod, "eviction"),
    call: {
      method: "POST",
      body: {
        apiVersion: "policy/v1",
        kind: "Eviction",
        metadata: { name, namespace },
        deleteOptions: { preconditions: { uid } },
      },
    },
  };
}

/** Only the object that was looked at is deleted, not one of the same name that came after it. */
export function remove(kind: Kind, object: KubeObject): Request {
  return {
    path: place(kind, object),
    call: {
      method: "DELETE",
      body: {
        apiVersion: "v1",
        kind: "DeleteOptions",
        propagationPolicy: "Background",
        preconditions: { uid: object.metadata.uid },
      },
    },
  };
}

/** Replaces an object; the resourceVersion in it has the API server refuse if it changed meanwhile. */
export function replace(kind: Kind, object: KubeObject, namespace: string | undefined, name: string, dryRun: boolean): Request {
  return {
    path: pathOf(kind, namespace, name),
    call: {
      method: "PUT",
      body: object,
      query: { fieldManager: MANAGER, fieldValidation: "Strict", ...(dryRun ? { dryRun: "All" } : {}) },
    },
  };
}

/** Creates an object. */
export function create(kind: Kind, object: KubeObject, namespace: string, dryRun: boolean): Request {
  return {
    path: pathOf(kind, namespace),
    call: {
      method: "POST",
      body: object,
      query: { fieldManager: MANAGER, fieldValidation: "Strict", ...(dryRun ? { dryRun: "All" } : {}) },
    },
  };
}

/** Server-side apply: for an object that is there already. */
export function apply(kind: Kind, object: KubeObject, namespace: string, dryRun: boolean, force: boolean): Request {
  return {
    path: pathOf(kind, namespace, object.metadata.name),
    call: {
      method: "PATCH",
      contentType: Media.apply,
      body: object,
      query: {
        fieldManager: MANAGER,
        fieldValidation: "Strict",
        ...(dryRun ? { dryRun: "All" } : {}),
        ...(force ? { force: "true" } : {}),
      },
    },
  };
}

/** The kind of an object, among those the cluster serves. */
export function kindOfObject(object: KubeObject, kinds: Kind[]): Kind | undefined {
  return kinds.find((kind) => kind.kind === object.kind && groupVersion(kind) === object.apiVersion);
}
