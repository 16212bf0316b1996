/** A Deployment, StatefulSet, DaemonSet or ReplicaSet. */

import { useMemo } from "preact/hooks";
import type { Kind } from "../cluster/kinds";
import { useMetrics } from "../cluster/metrics";
import type { Workload } from "../cluster/objects";
import { pairs } from "../logic/labels";
import { Chips, Facts, Panel } from "../parts/basics";
import { Rollout, useRevisions } from "../parts/rollout";
import { PodTable } from "./pods";
import { replicas, RolloutBadge } from "./workloads";

export function WorkloadDetails({ kind, workload }: { kind: Kind; workload: Workload }) {
  const { ready, desired } = replicas(workload);
  const { spec } = workload;
  const metrics = useMetrics("pods", workload.metadata.namespace);
  return (
    <>
      <Rollout workload={workload} />
      <Panel title={kind.kind}>
        <Facts
          facts={[
            ["State", <RolloutBadge of={workload} />],
            ["Ready", `${ready} of ${desired}`],
            ["Strategy", spec.strategy?.type ?? spec.updateStrategy?.type],
            ["Images", <Chips of={spec.template.spec.containers.map((container) => container.image ?? "")} />],
            ["Selector", <Chips of={pairs(spec.selector?.matchLabels)} />],
          ]}
        />
      </Panel>
      <Panel title="Pods" wide>
        <PodsOf workload={workload} metrics={metrics} />
      </Panel>
    </>
  );
}

function PodsOf({ workload, metrics }: { workload: Workload; metrics: ReturnType<typeof useMetrics> }) {
  const list = useRevisions(workload);
  const pods = useMemo(() => list.flatMap((revision) => revision.pods), [list]);
  return <PodTable label="Pods" pods={pods} metrics={metrics} />;
}
