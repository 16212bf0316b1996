/** Draining a node: first what it would do, then how it goes. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, kube, wordsOf } from "../cluster/api";
import { kindOf, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { Node, Pod, PodDisruptionBudget } from "../cluster/objects";
import { type DrainStep, type Fate, previewDrain } from "../logic/drain";
import { count } from "../logic/labels";
import { Badge, Dialog, Empty, Failure, ListState, type Tone } from "../parts/basics";
import { toast } from "../parts/toasts";
import { cordon, evict } from "./requests";

const TONES: Record<Fate, Tone> = { evicted: "busy", stays: "quiet", "deleted for good": "bad", waits: "bad" };
/** An eviction that a budget holds up is tried again after this many milliseconds, as kubectl does. */
const AGAIN = 5_000;

export function Drain({ node, onClose }: { node: Node; onClose: () => void }) {
  const { name } = node.metadata;
  const pods = useLive<Pod>({ path: pathOf(kindOf("pods")), fieldSelector: `spec.nodeName=${name}` });
  const budgets = useLive<PodDisruptionBudget>({ path: pathOf(kindOf("poddisruptionbudgets")) });
  const steps = useMemo(() => previewDrain(node, pods.items, budgets.items), [node, pods.items, budgets.items]);
  const [said, setSaid] = useState<Record<string, string> | undefined>();
  const [error, setError] = useState<string | undefined>();
  const [agreed, setAgreed] = useState(false);
  const stop = useRef(new AbortController());
  useEffect(() => () => stop.current.abort(), []);

  const leaving = steps.filter((step) => step.fate !== "stays");
  const loses = leaving.filter((step) => step.losesData || step.fate === "deleted for good").length;
  const start = async () => {
    setSaid({});
    try {
      const { path, call } = cordon(node, true);
      await kube(path, call);
      await Promise.all(leaving.map((step) => evictUntilGone(step, stop.current.signal, (uid, words) => setSaid((all) => ({ ...all, [uid]: words })))));
      if (!stop.current.signal.aborted) toast(`Node ${name} is drained`);
    } catch (failure) {
      setError(wordsOf(failure));
    }
  };
  return (
    <Dialog title={`Drain node ${name}`} onClose={onClose} wide>
      <ListState listing={pods}>
        {budgets.error !== undefined && <Failure>{`Disruption budgets can't be shown: ${budgets.error}`}</Failure>}
        <p>
          The node takes no new pods, and {count(leaving.length, "pod")} {leaving.length === 1 ? "is" : "are"} evicted from it.
        </p>
        {steps.length === 0 && <Empty>No pods are on it.</Empty>}
        <ul class="drain" tabIndex={0} aria-label="What would happen">
          {steps.map((step) => (
            <li key={step.pod.metadata.uid}>
              <Badge tone={TONES[step.fate]}>{step.fate}</Badge>
              <b>{`${step.pod.metadata.namespace}/${step.pod.metadata.name}`}</b>
              <span>{said?.[step.pod.metadata.uid] ?? step.why}</span>
            </li>
          ))}
        </ul>
      </ListState>
      {error !== undefined && <Failure>{error}</Failure>}
      {said === undefined && loses > 0 && (
        <label class="check">
          <input type="checkbox" checked={agreed} onChange={(event) => setAgreed(event.currentTarget.checked)} />
          {`I know that ${count(loses, "pod")} would lose data or not come back`}
        </label>
      )}
      <footer>
        <button type="button" onClick={onClose}>
          {said === undefined ? "Cancel" : "Close"}
        </button>
        <button type="button" class="danger" disabled={said !== undefined || (loses > 0 && !agreed) || !pods.ready} onClick={() => void start()}>
          Drain
        </button>
      </footer>
    </Dialog>
  );
}

/** Evicts a pod, again and again while a budget does not allow it. */
async function evictUntilGone(step: DrainStep, stop: AbortSignal, say: (uid: string, words: string) => void): Promise<void> {
  const { uid } = step.pod.metadata;
  while (!stop.aborted) {
    try {
      const { path, call } = evict(step.pod);
      await kube(path, { ...call, signal: stop });
      say(uid, "evicted; ending");
      return;
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof ApiError && error.code === 404) return say(uid, "gone");
      say(uid, wordsOf(error));
      if (!(error instanceof ApiError && error.code === 429)) return;
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }
}
