/** What state a pod is in, in the one word that `kubectl get pods` prints, and as a colour. */

import type { ContainerStatus, Pod } from "../cluster/objects";

/** The few states that are told apart at a glance. */
export type Look = "ready" | "starting" | "failing" | "done" | "ending" | "unknown";

export interface PodState {
  word: string;
  look: Look;
  ready: number;
  containers: number;
  restarts: number;
}

/** Waiting for these is no failure. */
const PATIENT = new Set(["ContainerCreating", "PodInitializing", "Pending", "SchedulingGated"]);

/** States by pod: an object that changes comes as a new one. */
const known = new WeakMap<Pod, PodState>();

export function podState(pod: Pod): PodState {
  const before = known.get(pod);
  if (before !== undefined) return before;
  const state = computed(pod);
  known.set(pod, state);
  return state;
}

/** How many pods look how. */
export function countLooks(pods: Pod[]): Map<Look, number> {
  const counts = new Map<Look, number>();
  for (const pod of pods) {
    const { look } = podState(pod);
    counts.set(look, (counts.get(look) ?? 0) + 1);
  }
  return counts;
}

function computed(pod: Pod): PodState {
  const statuses = pod.status?.containerStatuses ?? [];
  const inits = pod.status?.initContainerStatuses ?? [];
  const sidecars = new Set(
    (pod.spec.initContainers ?? []).filter((init) => init.restartPolicy === "Always").map((init) => init.name),
  );
  const running = [...statuses, ...inits.filter((init) => sidecars.has(init.name))];
  const ready = running.filter((status) => status.ready && status.state?.running !== undefined).length;
  const restarts = [...statuses, ...inits].reduce((sum, status) => sum + status.restartCount, 0);
  const word = wordOf(pod, statuses, inits, sidecars);
  const containers = pod.spec.containers.length + sidecars.size;
  return { word, look: lookOf(pod, word), ready, containers, restarts };
}

function wordOf(pod: Pod, statuses: ContainerStatus[], inits: ContainerStatus[], sidecars: Set<string>): string {
  if (pod.metadata.deletionTimestamp !== undefined) {
    return pod.status?.reason === "NodeLost" ? "Unknown" : "Terminating";
  }
  const overall = pod.status?.reason || pod.status?.phase || "Unknown";
  const blocked = initWord(pod, inits, sidecars);
  if (blocked !== undefined) return blocked;
  const gated = pod.status?.conditions?.some(
    (condition) => condition.type === "PodScheduled" && condition.reason === "SchedulingGated",
  );
  if (gated) return "SchedulingGated";
  let word = overall;
  let someRun = false;
  for (const status of [...statuses].reverse()) {
    const { waiting, terminated, running } = status.state ?? {};
    if (waiting?.reason) word = waiting.reason;
    else if (terminated) word = endWord(terminated);
    else if (running && status.ready) someRun = true;
  }
  if (word === "Completed" && someRun) return isReady(pod) ? "Running" : "NotReady";
  return word;
}

/** What holds the pod back before its containers start. */
function initWord(pod: Pod, inits: ContainerStatus[], sidecars: Set<string>): string | undefined {
  for (const [index, status] of inits.entries()) {
    const { waiting, terminated } = status.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecars.has(status.name) && status.started) continue;
    if (terminated) return `Init:${endWord(terminated)}`;
    if (waiting?.reason && waiting.reason !== "PodInitializing") return `Init:${waiting.reason}`;
    return `Init:${index}/${pod.spec.initContainers?.length ?? inits.length}`;
  }
  return undefined;
}

function endWord(end: { reason?: string; exitCode: number; signal?: number }): string {
  if (end.reason) return end.reason;
  return end.signal ? `Signal:${end.signal}` : `ExitCode:${end.exitCode}`;
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
}

function lookOf(pod: Pod, word: string): Look {
  if (word === "Unknown") return "unknown";
  if (pod.metadata.deletionTimestamp !== undefined) return "ending";
  if (pod.status?.phase === "Succeeded") return "done";
  if (pod.status?.phase === "Failed") return "failing";
  if (word === "Running" || word === "NotReady") return isReady(pod) ? "ready" : "starting";
  if (word === "Completed") return "done";
  return PATIENT.has(word) || /^Init:\d/.test(word) ? "starting" : "failing";
}
