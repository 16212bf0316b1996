/** A rollout as it happens: the pods of each revision, and how many were ready over time. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { kindOf, linkTo, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { ControllerRevision, Pod, Workload } from "../cluster/objects";
import { clock } from "../logic/age";
import { count } from "../logic/labels";
import { podState } from "../logic/podstate";
import { KEEP, record, type Revision, revisions, type Sample, stack } from "../logic/rollout";
import { Empty, Panel, useNow } from "./basics";

/** Samples by the workload's UID, kept while the page is open. */
const timelines = new Map<string, Sample[]>();

export function useRevisions(workload: Workload): Revision[] {
  const { namespace } = workload.metadata;
  const byHash = workload.kind !== "Deployment";
  const pods = useLive<Pod>({ path: pathOf(kindOf("pods"), namespace) });
  const sets = useLive<Workload>(byHash ? null : { path: pathOf(kindOf("replicasets"), namespace) });
  const history = useLive<ControllerRevision>(
    byHash && workload.kind !== "ReplicaSet" ? { path: pathOf(kindOf("controllerrevisions"), namespace) } : null,
  );
  return useMemo(
    () => revisions(workload, sets.items, pods.items, history.items),
    [workload, sets.items, pods.items, history.items],
  );
}

export function Rollout({ workload }: { workload: Workload }) {
  const list = useRevisions(workload);
  const [samples, setSamples] = useState<Sample[]>(timelines.get(workload.metadata.uid) ?? []);
  useEffect(() => {
    if (list.length === 0) return;
    const recorded = record(timelines.get(workload.metadata.uid) ?? [], Date.now(), list);
    timelines.set(workload.metadata.uid, recorded);
    setSamples(recorded);
  }, [list, workload.metadata.uid]);
  const oldest = [...list].reverse();
  return (
    <Panel title="Rollout" wide>
      {list.length === 0 && <Empty>No pods yet.</Empty>}
      <div class="revisions">
        {list.map((revision, index) => (
          <RevisionRow key={revision.name} of={revision} shade={Math.min(index, 4)} />
        ))}
      </div>
      <Timeline samples={samples} order={oldest.map((revision) => revision.name)} />
    </Panel>
  );
}

function RevisionRow({ of, shade }: { of: Revision; shade: number }) {
  const amounts = of.desired === undefined ? `${of.ready} of ${of.pods.length} ready` : `${of.ready} ready, ${of.desired} desired`;
  return (
    <div class={of.current ? "revision current" : "revision"}>
      <span class="revision-name">
        <i class={`shade shade-${shade}`} aria-hidden="true" />
        <b>{of.number > 0 ? `Revision ${of.number}` : of.name}</b>
        <small>{of.current ? "newest" : "old"}</small>
      </span>
      <span class="revision-amounts">{amounts}</span>
      <ul class="pod-links" aria-label={`${count(of.pods.length, "pod")} of ${of.name}`}>
        {[...of.pods]
          .sort((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1))
          .slice(0, 200)
          .map((pod) => {
            const { word, look } = podState(pod);
            return (
              <li key={pod.metadata.uid}>
                <a
                  class={`square ${look}`}
                  href={linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name)}
                  title={`${pod.metadata.name}: ${word}`}
                  aria-label={`${pod.metadata.name}: ${word}`}
                />
              </li>
            );
          })}
      </ul>
    </div>
  );
}

const WIDTH = 640;
const HEIGHT = 96;

function Timeline({ samples, order }: { samples: Sample[]; order: string[] }) {
  const now = useNow();
  if (samples.length === 0) return null;
  const length = Math.min(KEEP, Math.max(30_000, now - (samples[0]?.at ?? now)));
  const from = now - length;
  const layers = stack(samples, order, now);
  const top = Math.max(1, ...layers.flatMap((layer) => layer.edges.map(([, , upper]) => upper)));
  const x = (at: number) => Math.max(0, ((at - from) / length) * WIDTH);
  const y = (value: number) => HEIGHT - (value / top) * (HEIGHT - 4);
  const words = samples
    .slice(-4)
    .map((sample) => `${clock(sample.at)}: ${order.map((name) => `${name} ${sample.ready[name] ?? 0}`).join(", ")}`);
  return (
    <figure class="timeline">
      <figcaption>Ready pods over time</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Ready pods of each revision. ${words.join("; ")}`}>
        {layers.map(({ name, edges }, index) => (
          <path key={name} class={`shade-${Math.min(order.length - 1 - index, 4)}`} d={steps(edges, x, y)} />
        ))}
      </svg>
      <div class="axis">
        <span>{clock(from)}</span>
        <span>{`at most ${count(top, "pod")}`}</span>
        <span>{clock(now)}</span>
      </div>
    </figure>
  );
}

/** The outline of one layer, in steps. */
function steps(edges: [number, number, number][], x: (at: number) => number, y: (value: number) => number): string {
  const upper: string[] = [];
  const lower: string[] = [];
  for (const [index, [at, below, above]] of edges.entries()) {
    const until = edges[index + 1]?.[0] ?? at;
    upper.push(`${x(at).toFixed(1)},${y(above).toFixed(1)}`, `${x(until).toFixed(1)},${y(above).toFixed(1)}`);
    lower.unshift(`${x(until).toFixed(1)},${y(below).toFixed(1)}`, `${x(at).toFixed(1)},${y(below).toFixed(1)}`);
  }
  return `M${upper.join("L")}L${lower.join("L")}Z`;
}
