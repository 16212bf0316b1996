/** Which kinds the cluster serves. */

import { kube } from "./api";
import type { Kind } from "./kinds";

interface Aggregated {
  items?: {
    metadata?: { name?: string };
    versions?: {
      version: string;
      resources?: { resource: string; responseKind?: { kind?: string }; scope?: string; verbs?: string[] }[];
    }[];
  }[];
}

const ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/** All kinds that can be listed, each in its preferred version, sorted by name. */
export async function discover(): Promise<Kind[]> {
  const roots = await Promise.all(["/api", "/apis"].map((path) => kube<Aggregated>(path, { accept: ACCEPT })));
  const kinds = roots.flatMap((root) => (root.items ?? []).flatMap(ofGroup));
  return kinds.sort((one, other) => one.kind.localeCompare(other.kind) || one.group.localeCompare(other.group));
}

function ofGroup(item: NonNullable<Aggregated["items"]>[number]): Kind[] {
  const seen = new Set<string>();
  const kinds: Kind[] = [];
  for (const { version, resources } of item.versions ?? []) {
    for (const { resource, responseKind, scope, verbs } of resources ?? []) {
      if (seen.has(resource) || !verbs?.includes("list")) continue;
      seen.add(resource);
      kinds.push({
        group: item.metadata?.name ?? "",
        version,
        plural: resource,
        kind: responseKind?.kind ?? resource,
        namespaced: scope === "Namespaced",
        verbs,
      });
    }
  }
  return kinds;
}
