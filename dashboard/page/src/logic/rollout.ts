/** A rollout: which revisions have which pods, how far it is, and how it went over time. */

import type { ControllerRevision, KubeObject, Pod, Workload } from "../cluster/objects";
import { isReady } from "./podstate";

export const REVISION = "deployment.kubernetes.io/revision";
const REVISION_HASH = "controller-revision-hash";

/** The pods of one template of a workload. */
export interface Revision {
  /** A ReplicaSet's name, or the hash of a ControllerRevision. */
  name: string;
  /** 0 where it isn't known. */
  number: number;
  current: boolean;
  /** How many there should be; undefined where only the whole workload says so. */
  desired?: number;
  pods: Pod[];
  ready: number;
}

/** Whether an object's controller is the one with this UID. */
export function ownedBy(object: KubeObject, uid: string): boolean {
  return object.metadata.ownerReferences?.some((owner) => owner.controller === true && owner.uid === uid) ?? false;
}

/** The revisions that have pods or should have, the newest first. */
export function revisions(
  workload: Workload,
  sets: Workload[],
  pods: Pod[],
  history: ControllerRevision[] = [],
): Revision[] {
  return workload.kind === "Deployment" || sets.length > 0
    ? ofReplicaSets(workload, sets, pods)
    : ofHashes(workload, pods, history);
}

function ofReplicaSets(deployment: Workload, sets: Workload[], pods: Pod[]): Revision[] {
  const own = sets.filter((set) => ownedBy(set, deployment.metadata.uid));
  const newest = Math.max(0, ...own.map(revisionOf));
  return own
    .map((set) => {
      const members = pods.filter((pod) => ownedBy(pod, set.metadata.uid));
      return {
        name: set.metadata.name,
        number: revisionOf(set),
        current: revisionOf(set) === newest,
        desired: set.spec.replicas ?? 1,
        pods: members,
        ready: members.filter(isReady).length,
      };
    })
    .filter((revision) => revision.current || revision.desired > 0 || revision.pods.length > 0)
    .sort((one, other) => other.number - one.number);
}

function ofHashes(workload: Workload, pods: Pod[], history: ControllerRevision[]): Revision[] {
  const byHash = new Map<string, Pod[]>();
  for (const pod of pods.filter((pod) => ownedBy(pod, workload.metadata.uid))) {
    const hash = pod.metadata.labels?.[REVISION_HASH] ?? "";
    byHash.set(hash, [...(byHash.get(hash) ?? []), pod]);
  }
  const known = history.filter((revision) => ownedBy(revision, workload.metadata.uid));
  const hashOf = (revision: ControllerRevision) =>
    revision.metadata.labels?.[REVISION_HASH] ?? revision.metadata.name.slice(workload.metadata.name.length + 1);
  const numbers = new Map(
    known.flatMap((revision) => [
      [hashOf(revision), revision.revision] as const,
      [revision.metadata.name, revision.revision] as const,
    ]),
  );
  const newest = Math.max(0, ...known.map((revision) => revision.revision));
  return [...byHash]
    .map(([hash, members]) => ({
      name: hash || workload.metadata.name,
      number: numbers.get(hash) ?? 0,
      current: known.length === 0 || numbers.get(hash) === newest,
      pods: members,
      ready: members.filter(isReady).length,
    }))
    .sort((one, other) => other.number - one.number);
}

export function revisionOf(object: KubeObject): number {
  return Number(object.metadata.annotations?.[REVISION] ?? 0);
}

export interface Progress {
  done: boolean;
  words: string;
}

/** How far a rollout is, as `kubectl rollout status` sees it. */
export function progress(workload: Workload): Progress {
  const status = workload.status ?? {};
  const going = (words: string) => ({ done: false, words });
  if ((status.observedGeneration ?? 0) < (workload.metadata.generation ?? 0)) {
    return going("waiting for the change to be observed");
  }
  return workload.kind === "DaemonSet" ? ofDaemonSet(workload) : ofReplicas(workload);

  function ofDaemonSet({ status = {} }: Workload): Progress {
    const desired = status.desiredNumberScheduled ?? 0;
    const updated = status.updatedNumberScheduled ?? 0;
    const available = status.numberAvailable ?? 0;
    if (updated < desired) return going(`${updated} of ${desired} pods updated`);
    if (available < desired) return going(`${available} of ${desired} updated pods available`);
    return { done: true, words: `all ${desired} pods updated and available` };
  }

  function ofReplicas({ kind, spec, status = {} }: Workload): Progress {
    const desired = spec.replicas ?? 1;
    const stuck = status.conditions?.find(
      (condition) => condition.type === "Progressing" && condition.reason === "ProgressDeadlineExceeded",
    );
    if (stuck !== undefined) return going(`exceeded its progress deadline: ${stuck.message ?? ""}`);
    const updated = kind === "ReplicaSet" ? (status.replicas ?? 0) : (status.updatedReplicas ?? 0);
    if (kind === "StatefulSet") {
      const partition = spec.updateStrategy?.rollingUpdate?.partition ?? 0;
      if ((status.readyReplicas ?? 0) < desired) return going(`${status.readyReplicas ?? 0} of ${desired} pods ready`);
      if (status.updateRevision !== status.currentRevision && updated < desired - partition) {
        return going(`${updated} of ${desired - partition} pods updated`);
      }
      return { done: true, words: `all ${desired} pods ready` };
    }
    if (updated < desired) return going(`${updated} of ${desired} replicas updated`);
    const old = (status.replicas ?? 0) - updated;
    if (old > 0) return going(`${old} old replicas still to end`);
    const available = status.availableReplicas ?? 0;
    if (available < desired) return going(`${available} of ${desired} updated replicas available`);
    return { done: true, words: `all ${desired} replicas updated and available` };
  }
}

/** Ready pods of each revision at a moment. */
export interface Sample {
  at: number;
  ready: Record<string, number>;
}

/** How long samples are kept, in milliseconds. */
export const KEEP = 10 * 60_000;

/** The samples with one more, unless nothing changed since the last; what is too old is left out. */
export function record(samples: Sample[], at: number, revisions: Revision[]): Sample[] {
  const ready = Object.fromEntries(revisions.map((revision) => [revision.name, revision.ready]));
  const last = samples.at(-1);
  if (last !== undefined && same(last.ready, ready)) return samples;
  // The one sample before the window says how it stood at its beginning.
  const first = Math.max(0, samples.findLastIndex((sample) => sample.at <= at - KEEP));
  return [...samples.slice(first), { at, ready }];
}

function same(one: Record<string, number>, other: Record<string, number>): boolean {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].every((key) => (one[key] ?? 0) === (other[key] ?? 0));
}

/** Points of a stacked step chart: for each revision its lower and upper edge at each time. */
export function stack(samples: Sample[], order: string[], now: number): { name: string; edges: [number, number, number][] }[] {
  const ends = samples.length > 0 ? [...samples, { at: now, ready: samples.at(-1)?.ready ?? {} }] : [];
  return order.map((name, index) => ({
    name,
    edges: ends.map((sample) => {
      const below = order.slice(0, index).reduce((sum, lower) => sum + (sample.ready[lower] ?? 0), 0);
      return [sample.at, below, below + (sample.ready[name] ?? 0)];
    }),
  }));
}
