/** Going back to an earlier revision, with what would change shown first. */

import { useMemo, useState } from "preact/hooks";
import { type Kind, kindOf, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { ControllerRevision, PodTemplate, Workload } from "../cluster/objects";
import { toYaml } from "../logic/manifest";
import { ownedBy, revisionOf } from "../logic/rollout";
import { Confirm } from "../parts/action";
import { Dialog, Empty, Field } from "../parts/basics";
import { DiffView } from "../parts/diffview";
import { type Request, rollBackDeployment, rollBackToRevision } from "./requests";

interface Earlier {
  number: number;
  template?: PodTemplate;
  request: () => Request;
}

function useEarlier(kind: Kind, object: Workload): { list: Earlier[]; ready: boolean } {
  const { namespace, uid } = object.metadata;
  const isDeployment = kind.plural === "deployments";
  const sets = useLive<Workload>(isDeployment ? { path: pathOf(kindOf("replicasets"), namespace) } : null);
  const history = useLive<ControllerRevision>(isDeployment ? null : { path: pathOf(kindOf("controllerrevisions"), namespace) });
  const list = useMemo(() => {
    const all: Earlier[] = isDeployment
      ? sets.items
          .filter((set) => ownedBy(set, uid))
          .map((set) => ({ number: revisionOf(set), template: set.spec.template, request: () => rollBackDeployment(object, set) }))
      : history.items
          .filter((revision) => ownedBy(revision, uid))
          .map((revision) => ({
            number: revision.revision,
            template: revision.data?.spec?.template,
            request: () => rollBackToRevision(kind, object, revision),
          }));
    return all.sort((one, other) => other.number - one.number).slice(1);
  }, [sets.items, history.items, object, kind]);
  return { list, ready: isDeployment ? sets.ready : history.ready };
}

/** A template as YAML, without what controllers put into it. */
function shown(template: PodTemplate | undefined): string {
  const { "pod-template-hash": _, ...labels } = template?.metadata?.labels ?? {};
  return toYaml({ ...template, metadata: { ...template?.metadata, labels, creationTimestamp: undefined } });
}

export function RollBack({ kind, object, onClose }: { kind: Kind; object: Workload; onClose: () => void }) {
  const { list, ready } = useEarlier(kind, object);
  const [number, setNumber] = useState<number | undefined>();
  const chosen = list.find((revision) => revision.number === number) ?? list[0];
  const title = `Roll back ${kind.kind} ${object.metadata.name}`;
  if (chosen === undefined) {
    return (
      <Dialog title={title} onClose={onClose}>
        <Empty>{ready ? "There is no earlier revision." : "Loading…"}</Empty>
      </Dialog>
    );
  }
  return (
    <Confirm
      title={title}
      confirm="Roll back"
      request={chosen.request}
      done={`${object.metadata.name} goes back to revision ${chosen.number}`}
      onClose={onClose}
    >
      <Field label="To revision">
        <select value={chosen.number} onChange={(event) => setNumber(Number(event.currentTarget.value))}>
          {list.map((revision) => (
            <option key={revision.number} value={revision.number}>
              {`${revision.number}: ${revision.template?.spec.containers.map((container) => container.image).join(", ") ?? ""}`}
            </option>
          ))}
        </select>
      </Field>
      <DiffView before={shown(object.spec.template)} after={shown(chosen.template)} />
    </Confirm>
  );
}
