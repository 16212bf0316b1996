/** The cluster at a glance: nodes with their pods, what they are short of, and what is wrong. */

import { useMemo, useState } from "preact/hooks";
import type { Diagnosis } from "../cluster/diagnosis";
import { kindOf, linkTo } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import { type Metrics, useMetrics } from "../cluster/metrics";
import type { Node, Pod } from "../cluster/objects";
import { useScope } from "../cluster/session";
import { count, nodeState, roles } from "../logic/labels";
import { countLooks, type Look } from "../logic/podstate";
import { bytes, cpu, quantity } from "../logic/quantity";
import { Badge, Empty, Failure, Heading, ListState, Panel } from "../parts/basics";
import { Meter } from "../parts/chart";
import { DiagnosisCard } from "../parts/diagnosis";
import { memo } from "../parts/memo";
import { Legend, PodSquares } from "../parts/podsquares";

const NO_PODS: Pod[] = [];

export function Cluster() {
  const { namespace, session } = useScope();
  const nodes = useLive<Node>({ path: "/api/v1/nodes" });
  const pods = useLive<Pod>({ path: namespace === "" ? "/api/v1/pods" : `/api/v1/namespaces/${namespace}/pods` });
  const metrics = useMetrics("nodes");
  const byNode = useByNode(pods.items);
  const unplaced = byNode.get("") ?? NO_PODS;
  const sorted = useMemo(() => [...nodes.items].sort(controlPlaneFirst), [nodes.items]);
  return (
    <>
      <Heading title="Cluster">
        <a class="button" href="#/create">
          Create…
        </a>
      </Heading>
      <Figures nodes={nodes.items} pods={pods.items} version={session.cluster.version} />
      <Problems namespace={namespace} />
      <Panel title="Nodes" aside={<Legend />}>
        <ListState listing={nodes}>
          {pods.error !== undefined && <Failure>{pods.error}</Failure>}
          <div class="nodes">
            {sorted.map((node) => (
              <NodeBox key={node.metadata.uid} node={node} pods={byNode.get(node.metadata.name) ?? NO_PODS} metrics={metrics} />
            ))}
            {unplaced.length > 0 && (
              <article class="node">
                <header>
                  <h3>
                    <a href="#/pods?show=unplaced">No node yet</a>
                  </h3>
                </header>
                <PodSquares pods={unplaced} label="Pods without a node" />
              </article>
            )}
          </div>
        </ListState>
        {metrics.error !== undefined && (
          <p class="note">
            {metrics.absent ? "CPU and memory are not measured: the cluster has no metrics server. " : ""}
            {metrics.error}
          </p>
        )}
      </Panel>
    </>
  );
}

/** Pods by node; a node's array stays the same while its pods do, so that only what changed is painted. */
function useByNode(pods: Pod[]): Map<string, Pod[]> {
  const kept = useMemo(() => ({ map: new Map<string, Pod[]>() }), []);
  return useMemo(() => {
    const fresh = new Map<string, Pod[]>();
    for (const pod of pods) {
      const node = pod.spec.nodeName ?? "";
      const there = fresh.get(node);
      if (there === undefined) fresh.set(node, [pod]);
      else there.push(pod);
    }
    for (const [node, list] of fresh) {
      const before = kept.map.get(node);
      if (before?.length === list.length && before.every((pod, index) => pod === list[index])) fresh.set(node, before);
    }
    kept.map = fresh;
    return fresh;
  }, [pods]);
}

function controlPlaneFirst(one: Node, other: Node): number {
  const rank = (node: Node) => (roles(node).includes("control-plane") ? 0 : 1);
  return rank(one) - rank(other) || (one.metadata.name < other.metadata.name ? -1 : 1);
}

function Figures({ nodes, pods, version }: { nodes: Node[]; pods: Pod[]; version: string | null }) {
  const ready = nodes.filter((node) => nodeState(node).ready).length;
  const looks = useMemo(() => countLooks(pods), [pods]);
  const of = (look: Look) => looks.get(look) ?? 0;
  const figures: [string, string, string][] = [
    ["Nodes ready", `${ready}/${nodes.length}`, "#/nodes"],
    ["Pods", pods.length.toLocaleString("en"), "#/pods"],
    ["Ready", of("ready").toLocaleString("en"), "#/pods"],
    ["Starting", of("starting").toLocaleString("en"), "#/pods"],
    ["Failing", of("failing").toLocaleString("en"), "#/pods"],
    ["Kubernetes", version?.replace(/\+.*/, "") ?? "unknown", "#/resources"],
  ];
  return (
    <ul class="figures" aria-label="Figures">
      {figures.map(([name, value, href]) => (
        <li key={name}>
          <a href={href}>
            <strong>{value}</strong>
            <span>{name}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

/** How many problems are shown at a time. The worst come first, and thousands are no more help than some. */
const AT_A_TIME = 50;

function Problems({ namespace }: { namespace: string }) {
  const problems = useLive<Diagnosis>({ problems: namespace === "" ? {} : { namespace } });
  const [most, setMost] = useState(AT_A_TIME);
  const all = problems.items.length + problems.more;
  return (
    <Panel title="What is wrong" aside={all > 0 ? <span class="amount">{all.toLocaleString("en")}</span> : undefined}>
      <ListState listing={problems}>
        {problems.items.length === 0 ? (
          <Empty>Nothing that can be seen.</Empty>
        ) : (
          problems.items
            .slice(0, most)
            .map((problem) => (
              <DiagnosisCard key={`${problem.cause}/${problem.subject.kind}/${problem.subject.namespace}/${problem.subject.name}`} of={problem} />
            ))
        )}
        {problems.items.length > most && (
          <button type="button" onClick={() => setMost(most + AT_A_TIME)}>
            Show more
          </button>
        )}
        {problems.more > 0 && problems.items.length <= most && <p class="note">These are the worst; choose a namespace to see all of it.</p>}
      </ListState>
    </Panel>
  );
}

const NodeBox = memo(({ node, pods, metrics }: { node: Node; pods: Pod[]; metrics: Metrics }) => {
  const { name } = node.metadata;
  const state = nodeState(node);
  const used = metrics.latest(name);
  const allocatable = node.status?.allocatable ?? {};
  return (
    <article class={state.ready ? "node" : "node trouble"}>
      <header>
        <h3>
          <a href={linkTo(kindOf("nodes"), undefined, name)}>{name}</a>
        </h3>
        <span class="role">{roles(node)}</span>
        <Badge tone={!state.ready ? "bad" : state.words.length > 1 ? "busy" : "good"}>{state.words.join(", ")}</Badge>
        {state.pressure.map((pressure) => (
          <Badge key={pressure} tone="bad">
            {pressure}
          </Badge>
        ))}
      </header>
      {used !== undefined && (
        <div class="meters">
          <Meter label="CPU" value={used.cpu} limit={quantity(allocatable.cpu) ?? 0} format={cpu} />
          <Meter label="Memory" value={used.memory} limit={quantity(allocatable.memory) ?? 0} format={bytes} />
        </div>
      )}
      <PodSquares pods={pods} label={`Pods on ${name}`} href={linkTo(kindOf("nodes"), undefined, name)} />
      <p class="node-foot">{count(pods.length, "pod")}{allocatable.pods === undefined ? "" : ` of ${allocatable.pods}`}</p>
    </article>
  );
});
