/** What draining a node would do, told before it is done. */

import type { Node, Pod, PodDisruptionBudget } from "../cluster/objects";
import { matches } from "./selector";

export type Fate = "evicted" | "stays" | "deleted for good" | "waits";

export interface DrainStep {
  pod: Pod;
  fate: Fate;
  why: string;
  /** What goes with the pod and does not come back. */
  losesData: boolean;
}

const MIRROR = "kubernetes.io/config.mirror";

/** The steps, those that need a person's attention first. */
export function previewDrain(node: Node, pods: Pod[], budgets: PodDisruptionBudget[]): DrainStep[] {
  const spent = new Map<string, number>();
  const order: Fate[] = ["deleted for good", "waits", "evicted", "stays"];
  return pods
    .filter((pod) => pod.spec.nodeName === node.metadata.name)
    .map((pod) => step(pod, budgets, spent))
    .sort((one, other) => order.indexOf(one.fate) - order.indexOf(other.fate));
}

function step(pod: Pod, budgets: PodDisruptionBudget[], spent: Map<string, number>): DrainStep {
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true);
  const emptyDirs = (pod.spec.volumes ?? []).filter((volume) => volume.emptyDir !== undefined);
  const losesData = emptyDirs.length > 0;
  const stays = (why: string): DrainStep => ({ pod, fate: "stays", why, losesData: false });
  if (pod.metadata.annotations?.[MIRROR] !== undefined) return stays("a static pod: the node's own files say that it runs");
  if (owner?.kind === "DaemonSet") return stays(`DaemonSet ${owner.name} puts a pod on every node`);
  if (pod.metadata.deletionTimestamp !== undefined) {
    return { pod, fate: "evicted", why: "is ending already", losesData };
  }
  if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") {
    return { pod, fate: "evicted", why: "has run to its end", losesData };
  }
  const data = losesData ? `; what is in its emptyDir (${emptyDirs.map((volume) => volume.name).join(", ")}) is lost` : "";
  for (const budget of budgets.filter((budget) => covers(budget, pod))) {
    const allowed = budget.status?.disruptionsAllowed ?? 0;
    const taken = spent.get(budget.metadata.uid) ?? 0;
    spent.set(budget.metadata.uid, taken + 1);
    if (taken >= allowed) {
      const why = `PodDisruptionBudget ${budget.metadata.name} allows ${allowed} disruptions now`;
      return { pod, fate: "waits", why: why + data, losesData };
    }
  }
  if (owner === undefined) {
    return { pod, fate: "deleted for good", why: `no controller makes it anew${data}`, losesData };
  }
  return { pod, fate: "evicted", why: `${owner.kind} ${owner.name} makes another${data}`, losesData };
}

function covers(budget: PodDisruptionBudget, pod: Pod): boolean {
  return budget.metadata.namespace === pod.metadata.namespace && matches(budget.spec.selector, pod.metadata.labels);
}
