/** All pods, in a table. */

import { useMemo } from "preact/hooks";
import { kindOf, linkTo, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import { type Metrics, useMetrics } from "../cluster/metrics";
import type { Pod } from "../cluster/objects";
import { useScope } from "../cluster/session";
import { type Look, podState } from "../logic/podstate";
import { bytes, cpu } from "../logic/quantity";
import type { Route } from "../logic/route";
import { Age, Badge, Heading, ListState, type Tone } from "../parts/basics";
import { type Column, Table } from "../parts/table";

const TONES: Record<Look, Tone> = { ready: "good", starting: "busy", failing: "bad", ending: "quiet", done: "quiet", unknown: "bad" };
const ORDER: Look[] = ["failing", "unknown", "starting", "ending", "ready", "done"];

export function PodBadge({ pod }: { pod: Pod }) {
  const { word, look } = podState(pod);
  return <Badge tone={TONES[look]}>{word}</Badge>;
}

export function Pods({ route }: { route: Route }) {
  const { namespace } = useScope();
  const pods = useLive<Pod>({ path: pathOf(kindOf("pods"), namespace) });
  const metrics = useMetrics("pods", namespace);
  const unplaced = route.query.show === "unplaced";
  const rows = useMemo(() => (unplaced ? pods.items.filter((pod) => !pod.spec.nodeName) : pods.items), [pods.items, unplaced]);
  return (
    <>
      <Heading title={unplaced ? "Pods without a node" : "Pods"} />
      <ListState listing={pods}>
        <PodTable label="Pods" pods={rows} metrics={metrics} />
      </ListState>
    </>
  );
}

interface Props {
  label: string;
  pods: Pod[];
  metrics?: Metrics;
  /** Where all are on one node. */
  withoutNode?: boolean;
}

export function PodTable({ label, pods, metrics, withoutNode = false }: Props) {
  const columns = useMemo(() => {
    const all: Column<Pod>[] = [
      { name: "Name", grow: 3, cell: (pod) => pod.metadata.name, sort: (pod) => pod.metadata.name },
      { name: "Namespace", grow: 1.4, minor: true, cell: (pod) => pod.metadata.namespace, sort: (pod) => pod.metadata.namespace ?? "" },
      { name: "Status", grow: 1.6, cell: (pod) => <PodBadge pod={pod} />, sort: (pod) => ORDER.indexOf(podState(pod).look) },
      {
        name: "Ready",
        grow: 0.7,
        cell: (pod) => {
          const { ready, containers } = podState(pod);
          return `${ready}/${containers}`;
        },
        sort: (pod) => podState(pod).ready,
      },
      { name: "Restarts", grow: 0.8, minor: true, cell: (pod) => podState(pod).restarts, sort: (pod) => podState(pod).restarts },
    ];
    if (!withoutNode) {
      all.push({ name: "Node", grow: 1.3, minor: true, cell: (pod) => pod.spec.nodeName ?? "none", sort: (pod) => pod.spec.nodeName ?? "" });
    }
    if (metrics !== undefined && !metrics.absent) {
      const of = (pod: Pod) => metrics.latest(`${pod.metadata.namespace}/${pod.metadata.name}`);
      all.push(
        { name: "CPU", grow: 0.7, minor: true, cell: (pod) => cpuOf(of(pod)?.cpu), sort: (pod) => of(pod)?.cpu ?? -1 },
        { name: "Memory", grow: 0.8, minor: true, cell: (pod) => memoryOf(of(pod)?.memory), sort: (pod) => of(pod)?.memory ?? -1 },
      );
    }
    all.push({
      name: "Age",
      grow: 0.6,
      cell: (pod) => <Age of={pod.metadata.creationTimestamp} />,
      sort: (pod) => -Date.parse(pod.metadata.creationTimestamp),
    });
    return all;
  }, [metrics, withoutNode]);
  return (
    <Table
      label={label}
      rows={pods}
      columns={columns}
      keyOf={uid}
      linkOf={link}
      textOf={text}
      empty="There are no pods."
    />
  );
}

const uid = (pod: Pod) => pod.metadata.uid;
const link = (pod: Pod) => linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name);
const text = (pod: Pod) =>
  `${pod.metadata.name} ${pod.metadata.namespace} ${podState(pod).word} ${pod.spec.nodeName ?? ""} ${pod.status?.podIP ?? ""}`;
const cpuOf = (value: number | undefined) => (value === undefined ? "–" : cpu(value));
const memoryOf = (value: number | undefined) => (value === undefined ? "–" : bytes(value));
