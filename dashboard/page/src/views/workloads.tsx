/** Workloads: how many replicas there are of each, and what is rolling out. */

import { useMemo } from "preact/hooks";
import { kindOf, linkTo, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { Workload } from "../cluster/objects";
import { useScope } from "../cluster/session";
import { progress } from "../logic/rollout";
import type { Route } from "../logic/route";
import { Age, Badge, Heading, ListState, Tabs } from "../parts/basics";
import { type Column, Table } from "../parts/table";
import { KindTable } from "./kindtable";

const TABS: [string, string][] = [
  ["deployments", "Deployments"],
  ["statefulsets", "StatefulSets"],
  ["daemonsets", "DaemonSets"],
  ["replicasets", "ReplicaSets"],
  ["jobs", "Jobs"],
  ["cronjobs", "CronJobs"],
];

/** Those with replicas of a template; the others are shown as `kubectl get` prints them. */
export const ROLLED = new Set(["deployments", "statefulsets", "daemonsets", "replicasets"]);

export function Workloads({ route }: { route: Route }) {
  const plural = route.parts[0] ?? "deployments";
  if (!TABS.some(([tab]) => tab === plural)) return <Heading title="There is no such view" />;
  return (
    <>
      <Heading title="Workloads">
        <a class="button" href={`#/create?kind=${kindOf(plural).kind}`}>
          Create…
        </a>
      </Heading>
      <Tabs label="Workloads" current={plural} of={TABS.map(([id, text]) => ({ id, text, href: `#/workloads/${id}` }))} />
      {ROLLED.has(plural) ? <Rolled key={plural} plural={plural} /> : <KindTable key={plural} kind={kindOf(plural)} />}
    </>
  );
}

/** Ready and desired replicas. */
export function replicas({ kind, spec, status = {} }: Workload): { ready: number; desired: number } {
  return kind === "DaemonSet"
    ? { ready: status.numberReady ?? 0, desired: status.desiredNumberScheduled ?? 0 }
    : { ready: status.readyReplicas ?? 0, desired: spec.replicas ?? 1 };
}

function Rolled({ plural }: { plural: string }) {
  const { namespace } = useScope();
  const kind = kindOf(plural);
  const workloads = useLive<Workload>({ path: pathOf(kind, namespace) });
  const columns = useMemo<Column<Workload>[]>(
    () => [
      { name: "Name", grow: 2, cell: (row) => row.metadata.name, sort: (row) => row.metadata.name },
      { name: "Namespace", grow: 1.3, minor: true, cell: (row) => row.metadata.namespace, sort: (row) => row.metadata.namespace ?? "" },
      { name: "Ready", grow: 1.1, cell: (row) => <Share {...replicas(row)} />, sort: (row) => replicas(row).ready },
      { name: "Rollout", grow: 2.4, cell: (row) => <RolloutBadge of={row} />, sort: (row) => progress(row).words },
      {
        name: "Images",
        grow: 2.4,
        minor: true,
        cell: (row) => row.spec.template.spec.containers.map((container) => container.image).join(", "),
      },
      {
        name: "Age",
        grow: 0.6,
        cell: (row) => <Age of={row.metadata.creationTimestamp} />,
        sort: (row) => -Date.parse(row.metadata.creationTimestamp),
      },
    ],
    [],
  );
  return (
    <ListState listing={workloads}>
      <Table
        label={kind.kind}
        rows={workloads.items}
        columns={columns}
        keyOf={(row) => row.metadata.uid}
        linkOf={(row) => linkTo(kind, row.metadata.namespace, row.metadata.name)}
        textOf={(row) => `${row.metadata.name} ${row.metadata.namespace} ${JSON.stringify(row.metadata.labels ?? {})}`}
      />
    </ListState>
  );
}

export function RolloutBadge({ of }: { of: Workload }) {
  const { done, words } = progress(of);
  if (of.spec.paused) return <Badge tone="quiet">{`paused: ${words}`}</Badge>;
  return <Badge tone={done ? "good" : words.startsWith("exceeded") ? "bad" : "busy"}>{words}</Badge>;
}

function Share({ ready, desired }: { ready: number; desired: number }) {
  return (
    <span class="share">
      {ready}/{desired}
      <span class="track" aria-hidden="true">
        <i
          class={ready >= desired ? "good" : undefined}
          ref={(element) => element?.style.setProperty("width", `${desired === 0 ? 0 : Math.min(100, (ready / desired) * 100)}%`)}
        />
      </span>
    </span>
  );
}
