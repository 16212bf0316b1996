/** All nodes, in a table. */

import { useMemo } from "preact/hooks";
import { kindOf, linkTo } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import { useMetrics } from "../cluster/metrics";
import type { Node } from "../cluster/objects";
import { nodeState, roles } from "../logic/labels";
import { bytes, cpu } from "../logic/quantity";
import { Age, Badge, Heading, ListState } from "../parts/basics";
import { type Column, Table } from "../parts/table";

export function Nodes() {
  const nodes = useLive<Node>({ path: "/api/v1/nodes" });
  const metrics = useMetrics("nodes");
  const columns = useMemo<Column<Node>[]>(
    () => [
      { name: "Name", grow: 1.5, cell: (node) => node.metadata.name, sort: (node) => node.metadata.name },
      {
        name: "Status",
        grow: 1.8,
        cell: (node) => {
          const { ready, words, pressure } = nodeState(node);
          return <Badge tone={!ready || pressure.length > 0 ? "bad" : words.length > 1 ? "busy" : "good"}>{[...words, ...pressure].join(", ")}</Badge>;
        },
        sort: (node) => nodeState(node).words.join(),
      },
      { name: "Role", cell: roles, sort: roles, minor: true },
      { name: "CPU", grow: 0.7, minor: true, cell: (node) => usageOf(metrics.latest(node.metadata.name)?.cpu, cpu) },
      { name: "Memory", grow: 0.8, minor: true, cell: (node) => usageOf(metrics.latest(node.metadata.name)?.memory, bytes) },
      { name: "Version", minor: true, cell: (node) => node.status?.nodeInfo?.kubeletVersion },
      { name: "Age", grow: 0.6, cell: (node) => <Age of={node.metadata.creationTimestamp} />, sort: (node) => -Date.parse(node.metadata.creationTimestamp) },
    ],
    [metrics],
  );
  return (
    <>
      <Heading title="Nodes" />
      <ListState listing={nodes}>
        <Table
          label="Nodes"
          rows={nodes.items}
          columns={columns}
          keyOf={(node) => node.metadata.uid}
          linkOf={(node) => linkTo(kindOf("nodes"), undefined, node.metadata.name)}
          textOf={(node) => `${node.metadata.name} ${roles(node)} ${nodeState(node).words.join(" ")}`}
        />
      </ListState>
    </>
  );
}

function usageOf(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? "–" : format(value);
}
