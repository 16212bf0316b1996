/** An object's YAML, and changing it: what would change is shown before it is done. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, kubeWithWarnings, kube, wordsOf } from "../cluster/api";
import { type Kind, pathOf } from "../cluster/kinds";
import type { KubeObject } from "../cluster/objects";
import { permission } from "../cluster/permissions";
import { fromYaml, toYaml } from "../logic/manifest";
import { replace } from "../actions/requests";
import { ActionButton } from "../parts/action";
import { Empty, Failure, Panel } from "../parts/basics";
import { DiffView } from "../parts/diffview";
import { toast } from "../parts/toasts";

type Step =
  | { at: "read" }
  | { at: "edit"; text: string }
  | { at: "review"; text: string; after: string; warnings: string[] };

export function Yaml({ kind, namespace, name }: { kind: Kind; namespace: string; name: string }) {
  const [object, setObject] = useState<KubeObject | undefined>();
  const [step, setStep] = useState<Step>({ at: "read" });
  const [error, setError] = useState<{ words: string; conflict: boolean } | undefined>();
  const isSecret = kind.group === "" && kind.plural === "secrets";
  const [revealed, setRevealed] = useState(!isSecret);
  const load = async () => {
    try {
      setObject(await kube<KubeObject>(pathOf(kind, namespace, name)));
      setError(undefined);
    } catch (failure) {
      setError({ words: wordsOf(failure), conflict: false });
    }
  };
  useEffect(() => {
    if (revealed) void load();
  }, [revealed]);
  if (!revealed) {
    return (
      <Panel title="YAML" wide>
        <Empty>The YAML of a Secret has its values in it.</Empty>
        <ActionButton needs={[permission("get", kind, namespace, name)]} onClick={() => setRevealed(true)}>
          Show values
        </ActionButton>
      </Panel>
    );
  }
  if (object === undefined) return error === undefined ? <Empty>Loading…</Empty> : <Failure>{error.words}</Failure>;
  const before = toYaml(object);

  const send = async (text: string, dryRun: boolean) => {
    try {
      const changed = fromYaml(text)[0] as KubeObject;
      const { path, call } = replace(kind, changed, namespace, name, dryRun);
      const answer = await kubeWithWarnings<KubeObject>(path, call);
      setError(undefined);
      if (dryRun) {
        setStep({ at: "review", text, after: toYaml(answer.object), warnings: answer.warnings });
      } else {
        setObject(answer.object);
        setStep({ at: "read" });
        toast(`${kind.kind} ${name} is changed`);
      }
    } catch (failure) {
      const conflict = failure instanceof ApiError && failure.reason === "Conflict";
      setError({ words: wordsOf(failure), conflict });
      setStep({ at: "edit", text });
    }
  };

  return (
    <Panel title="YAML" wide>
      {error !== undefined && (
        <Failure>
          {error.words}
          {error.conflict && (
            <button
              type="button"
              onClick={() => {
                setStep({ at: "read" });
                void load();
              }}
            >
              Give up this change and load the newest
            </button>
          )}
        </Failure>
      )}
      {step.at === "read" && (
        <>
          <div class="toolbar">
            <ActionButton needs={[permission("update", kind, namespace, name)]} onClick={() => setStep({ at: "edit", text: before })}>
              Edit
            </ActionButton>
            <button type="button" onClick={() => void load()}>
              Load anew
            </button>
          </div>
          <pre class="yaml" tabIndex={0} aria-label="YAML">
            {before}
          </pre>
        </>
      )}
      {step.at === "edit" && (
        <>
          <textarea
            class="code"
            aria-label="YAML"
            spellcheck={false}
            rows={Math.min(40, step.text.split("\n").length + 2)}
            value={step.text}
            onInput={(event) => setStep({ at: "edit", text: event.currentTarget.value })}
          />
          <footer>
            <button
              type="button"
              onClick={() => {
                setStep({ at: "read" });
                setError(undefined);
              }}
            >
              Cancel
            </button>
            <button type="button" class="primary" onClick={() => void send(step.text, true)}>
              Review
            </button>
          </footer>
        </>
      )}
      {step.at === "review" && (
        <>
          <p>What the API server would make of it:</p>
          {step.warnings.map((warning) => (
            <p class="warning-text" key={warning}>{`Warning: ${warning}`}</p>
          ))}
          <DiffView before={before} after={step.after} />
          <footer>
            <button type="button" onClick={() => setStep({ at: "edit", text: step.text })}>
              Back
            </button>
            <button type="button" class="primary" onClick={() => void send(step.text, false)}>
              Save
            </button>
          </footer>
        </>
      )}
    </Panel>
  );
}
