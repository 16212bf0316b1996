/** What can be done with an object, by its kind. */

import { useState } from "preact/hooks";
import type { Kind } from "../cluster/kinds";
import type { CronJob, Job, KubeObject, Node, Workload } from "../cluster/objects";
import { permission } from "../cluster/permissions";
import { ActionButton, Confirm, perform } from "../parts/action";
import { Field } from "../parts/basics";
import { Drain } from "./drain";
import { cordon, pause, remove, restart, runNow, scale, suspend } from "./requests";
import { RollBack } from "./rollback";

type Open = "scale" | "restart" | "rollback" | "drain" | "delete" | undefined;

const SCALED = new Set(["deployments", "statefulsets", "replicasets"]);
const RESTARTED = new Set(["deployments", "statefulsets", "daemonsets"]);

export function ActionBar({ kind, object }: { kind: Kind; object: KubeObject }) {
  const [open, setOpen] = useState<Open>();
  const close = () => setOpen(undefined);
  const { name, namespace } = object.metadata;
  const may = (verb: string, subresource = "") => [permission(verb, kind, namespace, name, subresource)];
  const title = `${kind.kind} ${name}`;
  const builtIn = kind.group === "apps" || kind.group === "batch" || kind.group === "";
  const paused = (object as Workload).spec?.paused === true;
  return (
    <>
      {builtIn && SCALED.has(kind.plural) && (
        <ActionButton needs={may("patch", "scale")} onClick={() => setOpen("scale")}>
          Scale…
        </ActionButton>
      )}
      {builtIn && RESTARTED.has(kind.plural) && (
        <>
          <ActionButton needs={may("patch")} onClick={() => setOpen("restart")}>
            Restart…
          </ActionButton>
          <ActionButton needs={may("patch")} onClick={() => setOpen("rollback")}>
            Roll back…
          </ActionButton>
        </>
      )}
      {builtIn && kind.plural === "deployments" && (
        <ActionButton needs={may("patch")} onClick={() => void perform(pause(kind, object, !paused), `${title} ${paused ? "goes on" : "is paused"}`)}>
          {paused ? "Resume" : "Pause"}
        </ActionButton>
      )}
      {builtIn && kind.plural === "nodes" && <NodeActions node={object as Node} kind={kind} onDrain={() => setOpen("drain")} />}
      {builtIn && (kind.plural === "cronjobs" || kind.plural === "jobs") && <JobActions kind={kind} object={object as Job | CronJob} />}
      <ActionButton needs={may("delete")} danger onClick={() => setOpen("delete")}>
        Delete…
      </ActionButton>
      {open === "scale" && <Scale kind={kind} object={object as Workload} onClose={close} />}
      {open === "restart" && (
        <Confirm
          title={`Restart ${title}?`}
          confirm="Restart"
          request={() => restart(kind, object, new Date().toISOString())}
          done={`${title} restarts`}
          onClose={close}
        >
          <p>Its pods are replaced one after the other, as its update strategy says.</p>
        </Confirm>
      )}
      {open === "rollback" && <RollBack kind={kind} object={object as Workload} onClose={close} />}
      {open === "drain" && <Drain node={object as Node} onClose={close} />}
      {open === "delete" && (
        <Confirm
          title={`Delete ${title}?`}
          confirm="Delete"
          danger
          request={() => remove(kind, object)}
          done={`${title} is being deleted`}
          onClose={close}
        >
          <p>
            {kind.plural === "namespaces"
              ? "Everything in the namespace is deleted with it."
              : "It is deleted with what belongs to it. This can't be undone."}
          </p>
          {(object.metadata.finalizers ?? []).length > 0 && <p>It waits for its finalizers: {object.metadata.finalizers?.join(", ")}.</p>}
        </Confirm>
      )}
    </>
  );
}

function NodeActions({ node, kind, onDrain }: { node: Node; kind: Kind; onDrain: () => void }) {
  const { name } = node.metadata;
  const needs = [permission("patch", kind, "", name)];
  const off = node.spec.unschedulable === true;
  return (
    <>
      <ActionButton needs={needs} onClick={() => void perform(cordon(node, !off), `Node ${name} ${off ? "takes" : "takes no"} new pods`)}>
        {off ? "Uncordon" : "Cordon"}
      </ActionButton>
      <ActionButton needs={[...needs, { verb: "create", group: "", resource: "pods", subresource: "eviction" }]} onClick={onDrain}>
        Drain…
      </ActionButton>
    </>
  );
}

function JobActions({ kind, object }: { kind: Kind; object: Job | CronJob }) {
  const { name, namespace } = object.metadata;
  const suspended = object.spec.suspend === true;
  return (
    <>
      {kind.plural === "cronjobs" && (
        <ActionButton
          needs={[{ verb: "create", group: "batch", resource: "jobs", namespace }]}
          onClick={() => void perform(runNow(object as CronJob, Date.now()), `A job of ${name} is created`)}
        >
          Run now
        </ActionButton>
      )}
      <ActionButton
        needs={[permission("patch", kind, namespace, name)]}
        onClick={() => void perform(suspend(kind, object, !suspended), `${name} ${suspended ? "goes on" : "is suspended"}`)}
      >
        {suspended ? "Resume" : "Suspend"}
      </ActionButton>
    </>
  );
}

function Scale({ kind, object, onClose }: { kind: Kind; object: Workload; onClose: () => void }) {
  const now = object.spec.replicas ?? 1;
  const [replicas, setReplicas] = useState(String(now));
  return (
    <Confirm
      title={`Scale ${kind.kind} ${object.metadata.name}`}
      confirm="Scale"
      request={() => scale(kind, object, Number(replicas))}
      done={`${object.metadata.name} is scaled to ${replicas}`}
      onClose={onClose}
    >
      <Field label={`Replicas (now ${now})`}>
        <input
          type="number"
          min="0"
          step="1"
          required
          value={replicas}
          onInput={(event) => setReplicas(event.currentTarget.value)}
        />
      </Field>
    </Confirm>
  );
}
