/** A node: what it has, what it uses, and what runs on it. */

import { kindOf, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import { useMetrics } from "../cluster/metrics";
import type { Node, Pod } from "../cluster/objects";
import { nodeState, roles } from "../logic/labels";
import { bytes, cpu, quantity } from "../logic/quantity";
import { Badge, Chips, Facts, ListState, Panel } from "../parts/basics";
import { Chart } from "../parts/chart";
import { PodTable } from "./pods";

export function NodeDetails({ node }: { node: Node }) {
  const { name } = node.metadata;
  const pods = useLive<Pod>({ path: pathOf(kindOf("pods")), fieldSelector: `spec.nodeName=${name}` });
  const metrics = useMetrics("nodes");
  const podMetrics = useMetrics("pods");
  const { status = {}, spec } = node;
  const { allocatable = {}, nodeInfo = {} } = status;
  const state = nodeState(node);
  return (
    <>
      <Panel title="Node">
        <Facts
          facts={[
            ["State", <Badge tone={state.ready ? "good" : "bad"}>{[...state.words, ...state.pressure].join(", ")}</Badge>],
            ["Role", roles(node)],
            ["Addresses", <Chips of={(status.addresses ?? []).map((address) => `${address.type} ${address.address}`)} />],
            ["Pod addresses", spec.podCIDR],
            ["Taints", spec.taints === undefined ? undefined : <Chips of={spec.taints.map((taint) => `${taint.key}${taint.value ? `=${taint.value}` : ""}:${taint.effect}`)} />],
            ["Allocatable", `${allocatable.cpu ?? "?"} CPU, ${bytes(quantity(allocatable.memory) ?? 0)} memory, ${allocatable.pods ?? "?"} pods`],
            ["Kubelet", nodeInfo.kubeletVersion],
            ["Runtime", nodeInfo.containerRuntimeVersion],
            ["Kernel", nodeInfo.kernelVersion],
            ["System", nodeInfo.osImage],
          ]}
        />
      </Panel>
      <Panel title="Usage">
        {metrics.error !== undefined ? (
          <p class="note">
            {metrics.absent ? "The cluster has no metrics server. " : ""}
            {metrics.error}
          </p>
        ) : (
          <>
            <Chart title="CPU" samples={metrics.of(name)} value={(sample) => sample.cpu} format={cpu} limit={quantity(allocatable.cpu)} />
            <Chart title="Memory" samples={metrics.of(name)} value={(sample) => sample.memory} format={bytes} limit={quantity(allocatable.memory)} />
          </>
        )}
      </Panel>
      <Panel title="Pods" wide>
        <ListState listing={pods}>
          <PodTable label={`Pods on ${name}`} pods={pods.items} metrics={podMetrics} withoutNode />
        </ListState>
      </Panel>
    </>
  );
}
