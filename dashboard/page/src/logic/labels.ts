/** Words for things the page shows in many places. */

import type { Node } from "../cluster/objects";

export interface NodeState {
  ready: boolean;
  words: string[];
  pressure: string[];
}

/** A node's state in the words of `kubectl get nodes`, and what it is short of. */
export function nodeState(node: Node): NodeState {
  const conditions = node.status?.conditions ?? [];
  const ready = conditions.find((condition) => condition.type === "Ready");
  const pressure = conditions
    .filter((condition) => condition.type !== "Ready" && condition.status === "True")
    .map((condition) => condition.type);
  const words = [ready?.status === "True" ? "Ready" : ready?.status === "Unknown" ? "Unknown" : "NotReady"];
  if (node.spec.unschedulable) words.push("SchedulingDisabled");
  return { ready: ready?.status === "True", words, pressure };
}

export function roles(node: Node): string {
  const prefix = "node-role.kubernetes.io/";
  const names = Object.keys(node.metadata.labels ?? {})
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  return names.sort().join(", ") || "worker";
}

/** Labels as `key=value`. */
export function pairs(labels: Record<string, string> | undefined): string[] {
  return Object.entries(labels ?? {}).map(([key, value]) => (value === "" ? key : `${key}=${value}`));
}

/** `1 pod`, `3 pods`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
