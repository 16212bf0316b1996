/** Creating objects from YAML: the API server's dry run and the difference come first. */

import { useState } from "preact/hooks";
import { ApiError, kube, kubeWithWarnings, wordsOf } from "../cluster/api";
import { discover } from "../cluster/discovery";
import { type Kind, linkTo, pathOf } from "../cluster/kinds";
import type { KubeObject } from "../cluster/objects";
import { useScope } from "../cluster/session";
import { apply, create, kindOfObject, type Request } from "../actions/requests";
import { example } from "../logic/examples";
import { fromYaml, toYaml } from "../logic/manifest";
import type { Route } from "../logic/route";
import { Badge, Failure, Field, Heading, Panel } from "../parts/basics";
import { DiffView } from "../parts/diffview";

/** One object, and what the API server said to it. */
interface Planned {
  object: KubeObject;
  kind?: Kind;
  namespace: string;
  /** As it is now; empty if it is new. */
  before: string;
  after: string;
  warnings: string[];
  error?: string;
  /** Others manage fields that it sets. */
  conflict: boolean;
  done: boolean;
}

function label({ object }: Planned): string {
  return `${object.kind} ${object.metadata.name ?? ""}`;
}

/** Tries one object without changing anything. */
async function tryOne(object: KubeObject, kinds: Kind[], chosen: string): Promise<Planned> {
  const kind = kindOfObject(object, kinds);
  const namespace = kind?.namespaced ? (object.metadata.namespace ?? chosen) : "";
  const planned: Planned = { object, kind, namespace, before: "", after: "", warnings: [], conflict: false, done: false };
  if (kind === undefined) return { ...planned, error: `no matches for kind "${object.kind}" in version "${object.apiVersion}"` };
  const there = await existing(kind, namespace, object.metadata.name);
  const before = there === undefined ? "" : toYaml(withoutCounters(there));
  try {
    return { ...planned, before, ...(await answerOf(send(kind, object, namespace, true, false))) };
  } catch (error) {
    const conflict = error instanceof ApiError && error.reason === "Conflict";
    // What it would be if the fields were taken over, to decide by.
    const taken = conflict ? await answerOf(send(kind, object, namespace, true, true)) : undefined;
    return { ...planned, before, ...taken, error: wordsOf(error), conflict };
  }
}

/** Applied, so that it can be applied again; one whose name the API server makes up is always new. */
function send(kind: Kind, object: KubeObject, namespace: string, dryRun: boolean, force: boolean): Request {
  return object.metadata.name ? apply(kind, object, namespace, dryRun, force) : create(kind, object, namespace, dryRun);
}

/** Without what changes with every change. */
function withoutCounters(object: KubeObject): KubeObject {
  const { resourceVersion: _version, generation: _generation, ...metadata } = object.metadata;
  return { ...object, metadata };
}

async function existing(kind: Kind, namespace: string, name: string | undefined): Promise<KubeObject | undefined> {
  if (!name) return undefined;
  try {
    return await kube<KubeObject>(pathOf(kind, namespace, name));
  } catch {
    // Absent, or not to be read: then creating it shows which.
    return undefined;
  }
}

async function answerOf({ path, call }: Request): Promise<{ after: string; warnings: string[] }> {
  const { object, warnings } = await kubeWithWarnings<KubeObject>(path, call);
  return { after: toYaml(withoutCounters(object)), warnings };
}

export function Create({ route }: { route: Route }) {
  const scope = useScope();
  const [namespace, setNamespace] = useState(scope.namespace || scope.session.namespace || "default");
  const [text, setText] = useState(example(route.query.kind));
  const [plan, setPlan] = useState<Planned[] | undefined>();
  const [error, setError] = useState<string | undefined>();
  const [force, setForce] = useState(false);
  const [busy, setBusy] = useState(false);

  const review = async () => {
    setBusy(true);
    setError(undefined);
    setForce(false);
    try {
      const objects = fromYaml(text);
      const kinds = await discover();
      setPlan(await Promise.all(objects.map((object) => tryOne(object, kinds, namespace))));
    } catch (failure) {
      setError(wordsOf(failure));
    }
    setBusy(false);
  };

  /** One after the other, as they stand in the file; the first that is refused ends it. */
  const carryOut = async () => {
    setBusy(true);
    const done = [...(plan ?? [])];
    for (const [index, planned] of done.entries()) {
      if (planned.done || planned.kind === undefined) continue;
      const { object, kind } = planned;
      const request = send(kind, object, planned.namespace, false, force);
      try {
        const answer = await kube<KubeObject>(request.path, request.call);
        done[index] = { ...planned, object: { ...object, metadata: answer.metadata }, error: undefined, done: true };
      } catch (failure) {
        done[index] = { ...planned, error: wordsOf(failure) };
        break;
      }
    }
    setPlan(done);
    setBusy(false);
  };

  const finished = plan?.every((planned) => planned.done) ?? false;
  const hopeless = plan?.some((planned) => planned.kind === undefined || (planned.error !== undefined && !(planned.conflict && force))) ?? false;
  return (
    <>
      <Heading title="Create from YAML" />
      {plan === undefined ? (
        <Panel wide>
          <Field label="Namespace, for objects that name none">
            <input value={namespace} onInput={(event) => setNamespace(event.currentTarget.value)} />
          </Field>
          <Field label="YAML">
            <textarea class="code" rows={24} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </Field>
          {error !== undefined && <Failure>{error}</Failure>}
          <footer>
            <label class="button">
              Open a file…
              <input
                type="file"
                class="visually-hidden"
                accept=".yaml,.yml,.json"
                onChange={(event) => void event.currentTarget.files?.[0]?.text().then(setText)}
              />
            </label>
            <button type="button" class="primary" disabled={busy} onClick={() => void review()}>
              Review
            </button>
          </footer>
        </Panel>
      ) : (
        <>
          {plan.map((planned, index) => (
            <Panel
              key={index}
              wide
              title={label(planned)}
              aside={<Badge tone={planned.error !== undefined ? "bad" : planned.done ? "good" : "busy"}>{verdict(planned)}</Badge>}
            >
              {planned.error !== undefined && <Failure>{planned.error}</Failure>}
              {planned.warnings.map((warning) => (
                <p class="warning-text" key={warning}>{`Warning: ${warning}`}</p>
              ))}
              {planned.done && planned.kind !== undefined ? (
                <p>
                  <a href={linkTo(planned.kind, planned.namespace, planned.object.metadata.name)}>{`Look at ${label(planned)}`}</a>
                </p>
              ) : (
                planned.after !== "" && <DiffView before={planned.before} after={planned.after} />
              )}
            </Panel>
          ))}
          {plan.some((planned) => planned.conflict) && (
            <label class="check">
              <input type="checkbox" checked={force} onChange={(event) => setForce(event.currentTarget.checked)} />
              Take over the fields that others manage
            </label>
          )}
          <footer>
            <button type="button" onClick={() => setPlan(undefined)}>
              {finished ? "Create more" : "Back"}
            </button>
            {!finished && (
              <button type="button" class="primary" disabled={busy || hopeless} onClick={() => void carryOut()}>
                {plan.every((planned) => planned.before === "") ? "Create" : "Apply"}
              </button>
            )}
          </footer>
        </>
      )}
    </>
  );
}

function verdict({ error, done, before }: Planned): string {
  if (error !== undefined) return "refused";
  if (done) return before === "" ? "created" : "applied";
  return before === "" ? "would be created" : "would be changed";
}
