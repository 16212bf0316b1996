/** What ConfigMaps and Secrets hold; a Secret's values only when they are asked for. */

import { useState } from "preact/hooks";
import { kube, wordsOf } from "../cluster/api";
import { kindOf, pathOf } from "../cluster/kinds";
import type { KubeObject } from "../cluster/objects";
import { permission } from "../cluster/permissions";
import { ActionButton } from "../parts/action";
import { Empty, Failure, Panel } from "../parts/basics";

function Entries({ of }: { of: [string, string | undefined][] }) {
  if (of.length === 0) return <Empty>It holds nothing.</Empty>;
  return (
    <dl class="entries">
      {of.map(([key, value]) => (
        <div key={key}>
          <dt>{key}</dt>
          <dd>{value === undefined ? <span class="quiet">hidden</span> : <pre tabIndex={0}>{value}</pre>}</dd>
        </div>
      ))}
    </dl>
  );
}

export function ConfigData({ object }: { object: KubeObject }) {
  const { data = {}, binaryData = {} } = object as KubeObject & { data?: Record<string, string>; binaryData?: Record<string, string> };
  const entries: [string, string][] = [
    ...Object.entries(data),
    ...Object.entries(binaryData).map(([key, value]): [string, string] => [key, decoded(value)]),
  ];
  return (
    <Panel title="Data" wide>
      <Entries of={entries} />
    </Panel>
  );
}

export function SecretData({ secret }: { secret: KubeObject }) {
  const { name, namespace, uid, resourceVersion } = secret.metadata;
  const [shown, setShown] = useState<{ of: string; data: Record<string, string> } | undefined>();
  const [error, setError] = useState<string | undefined>();
  const of = `${uid}/${resourceVersion}`;
  const keys = Object.keys((secret as KubeObject & { data?: object }).data ?? {});
  const reveal = async () => {
    try {
      const whole = await kube<{ data?: Record<string, string> }>(pathOf(kindOf("secrets"), namespace, name));
      setShown({ of, data: whole.data ?? {} });
      setError(undefined);
    } catch (failure) {
      setError(wordsOf(failure));
    }
  };
  // A change hides the values again: what is shown is what is there.
  const data = shown?.of === of ? shown.data : undefined;
  return (
    <Panel
      title="Data"
      wide
      aside={
        data === undefined ? (
          <ActionButton needs={[permission("get", kindOf("secrets"), namespace, name)]} onClick={() => void reveal()}>
            Show values
          </ActionButton>
        ) : (
          <button type="button" onClick={() => setShown(undefined)}>
            Hide values
          </button>
        )
      }
    >
      {error !== undefined && <Failure>{error}</Failure>}
      <Entries of={keys.map((key) => [key, data === undefined ? undefined : decoded(data[key] ?? "")])} />
    </Panel>
  );
}

/** Base64 as text, or how much there is of what is no text. */
function decoded(base64: string): string {
  try {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return `(${Math.floor((base64.length * 3) / 4)} bytes that are no text)`;
  }
}
