/** CPU and memory from the metrics API, asked for while somebody looks, and kept while the page is open. */

import { useEffect, useMemo, useReducer } from "preact/hooks";
import { usage } from "../logic/quantity";
import { ApiError, kube, wordsOf } from "./api";

export interface Usage {
  at: number;
  cpu: number;
  memory: number;
}

interface Series {
  /** By `namespace/name`, or a node's name. */
  samples: Map<string, Usage[]>;
  error?: string;
  absent: boolean;
  asked: number;
}

/** The metrics server measures this often, in milliseconds; asking more often shows nothing new. */
const EVERY = 15_000;
const KEEP = 120;
const series = new Map<string, Series>();

interface MetricsList {
  items?: { metadata: { name: string; namespace?: string }; timestamp?: string; containers?: []; usage?: object }[];
}

async function ask(path: string): Promise<void> {
  const now = Date.now();
  const known = series.get(path) ?? { samples: new Map<string, Usage[]>(), absent: false, asked: 0 };
  series.set(path, known);
  if (now - known.asked < EVERY - 500) return;
  known.asked = now;
  try {
    const list = await kube<MetricsList>(path);
    for (const item of list.items ?? []) {
      const name = item.metadata.namespace ? `${item.metadata.namespace}/${item.metadata.name}` : item.metadata.name;
      const at = item.timestamp ? Date.parse(item.timestamp) : now;
      const before = known.samples.get(name) ?? [];
      if (before.at(-1)?.at === at) continue;
      known.samples.set(name, [...before, { at, ...usage(item) }].slice(-KEEP));
    }
    known.error = undefined;
    known.absent = false;
  } catch (error) {
    known.absent = error instanceof ApiError && (error.code === 404 || error.code === 503);
    known.error = wordsOf(error);
  }
}

export interface Metrics {
  of: (name: string) => Usage[];
  latest: (name: string) => Usage | undefined;
  /** Why there are none. */
  error?: string;
  /** The cluster has no metrics server. */
  absent: boolean;
}

/** Measurements of nodes, or of the pods of a namespace (of all for an empty one). */
export function useMetrics(of: "nodes" | "pods", namespace = ""): Metrics {
  const [version, redraw] = useReducer((count: number) => count + 1, 0);
  const path = `/apis/metrics.k8s.io/v1beta1${namespace === "" ? "" : `/namespaces/${namespace}`}/${of}`;
  useEffect(() => {
    let here = true;
    const round = () => {
      if (document.hidden) return;
      void ask(path).then(() => {
        if (here) redraw(0);
      });
    };
    round();
    const timer = setInterval(round, EVERY);
    return () => {
      here = false;
      clearInterval(timer);
    };
  }, [path]);
  return useMemo(() => {
    const known = series.get(path);
    return {
      of: (name) => known?.samples.get(name) ?? [],
      latest: (name) => known?.samples.get(name)?.at(-1),
      error: known?.error,
      absent: known?.absent ?? false,
    };
  }, [path, version]);
}
