/** One object of any kind: what its kind has to show, and its YAML. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { ActionBar } from "../actions/bar";
import { own } from "../cluster/api";
import type { Explanation } from "../cluster/diagnosis";
import { type Kind, KINDS, linkTo, linkToReference, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { Condition, CronJob, Job, KubeObject, Node, Pod, Service, Workload } from "../cluster/objects";
import { pairs } from "../logic/labels";
import { toYaml } from "../logic/manifest";
import type { Route } from "../logic/route";
import { Age, Chips, Empty, Facts, Failure, Heading, Panel, Tabs } from "../parts/basics";
import { DiagnosisCard } from "../parts/diagnosis";
import { Events } from "../parts/events";
import { ConfigData, SecretData } from "./data";
import { JobDetails } from "./job";
import { Logs } from "./logs";
import { NodeDetails } from "./node";
import { PodDetails } from "./pod";
import { ServiceDetails } from "./service";
import { Terminal } from "./terminal";
import { WorkloadDetails } from "./workload";
import { Yaml } from "./yaml";
import { ROLLED } from "./workloads";

/** The kind and the place that an address names. */
function target(parts: string[]): { kind: Kind; namespace: string; name: string } | undefined {
  const [group = "", version = "", plural = "", namespace = "", name = ""] = parts;
  if (name === "") return undefined;
  const realGroup = group === "core" ? "" : group;
  const known = KINDS.find((kind) => kind.group === realGroup && kind.plural === plural);
  const kind = known ?? { group: realGroup, version, plural, kind: "", namespaced: namespace !== "_" };
  return { kind, namespace: namespace === "_" ? "" : namespace, name };
}

export function ObjectView({ route }: { route: Route }) {
  const at = useMemo(() => target(route.parts), [route.parts.join("/")]);
  const listing = useLive<KubeObject>(
    at === undefined ? null : { path: pathOf(at.kind, at.namespace), fieldSelector: `metadata.name=${at.name}` },
  );
  const object = listing.items[0];
  if (at === undefined) return <Heading title="There is no such view" />;
  const kind: Kind = { ...at.kind, kind: object?.kind ?? at.kind.kind };
  if (object === undefined) {
    return (
      <>
        <Heading title={at.name} kind={kind.kind} />
        {listing.error !== undefined && <Failure>{listing.error}</Failure>}
        {listing.error === undefined && <Empty>{listing.ready ? `There is no ${kind.kind || kind.plural} of this name (any more).` : "Loading…"}</Empty>}
      </>
    );
  }
  const isPod = kind.group === "" && kind.plural === "pods";
  const tabs = [["", "Overview"], ...(isPod ? [["logs", "Logs"], ["terminal", "Terminal"]] : []), ["yaml", "YAML"]];
  const tab = route.query.tab ?? "";
  return (
    <>
      <Heading title={at.name} kind={kind.kind}>
        <ActionBar kind={kind} object={object} />
      </Heading>
      <Tabs
        label={`About ${at.name}`}
        current={tab}
        of={[
          ...tabs.map(([id = "", text = ""]) => ({ id, text, href: linkTo(kind, at.namespace, at.name, id) })),
          { id: "follow", text: "Follow", href: `#/follow?${new URLSearchParams({ uid: object.metadata.uid, name: at.name })}` },
        ]}
      />
      {tab === "logs" && isPod ? (
        <Logs pod={object as Pod} container={route.query.container} />
      ) : tab === "terminal" && isPod ? (
        <Terminal pod={object as Pod} container={route.query.container} />
      ) : tab === "yaml" ? (
        <Yaml kind={kind} namespace={at.namespace} name={at.name} />
      ) : (
        <Overview kind={kind} object={object} />
      )}
    </>
  );
}

function Overview({ kind, object }: { kind: Kind; object: KubeObject }) {
  const conditions = (object.status as { conditions?: Condition[] } | undefined)?.conditions;
  return (
    <div class="panels">
      <Why object={object} />
      <Details kind={kind} object={object} />
      <About object={object} />
      {conditions !== undefined && conditions.length > 0 && <Conditions of={conditions} />}
      {kind.plural !== "events" && <Events of={object} />}
    </div>
  );
}

function Details({ kind, object }: { kind: Kind; object: KubeObject }) {
  const inGroup = KINDS.some((known) => known.group === kind.group && known.plural === kind.plural);
  if (inGroup && ROLLED.has(kind.plural)) return <WorkloadDetails kind={kind} workload={object as Workload} />;
  switch (inGroup ? kind.plural : "") {
    case "pods":
      return <PodDetails pod={object as Pod} />;
    case "nodes":
      return <NodeDetails node={object as Node} />;
    case "services":
      return <ServiceDetails service={object as Service} />;
    case "jobs":
    case "cronjobs":
      return <JobDetails kind={kind} object={object as Job | CronJob} />;
    case "configmaps":
      return <ConfigData object={object} />;
    case "secrets":
      return <SecretData secret={object} />;
    default:
      return object.spec === undefined ? null : (
        <Panel title="Specification">
          <pre class="yaml" tabIndex={0}>
            {toYaml(object.spec)}
          </pre>
        </Panel>
      );
  }
}

function About({ object }: { object: KubeObject }) {
  const { metadata } = object;
  const owners = (metadata.ownerReferences ?? []).map((owner) => {
    const text = `${owner.kind}/${owner.name}`;
    const href = linkToReference({ ...owner, namespace: metadata.namespace });
    return href === undefined ? <span key={owner.uid}>{text}</span> : <a key={owner.uid} href={href}>{text}</a>;
  });
  return (
    <Panel title="About">
      <Facts
        facts={[
          ["Namespace", metadata.namespace],
          ["Created", <Age of={metadata.creationTimestamp} />],
          ["Being deleted", metadata.deletionTimestamp === undefined ? undefined : <Age of={metadata.deletionTimestamp} />],
          ["Belongs to", owners.length > 0 ? owners : undefined],
          ["Labels", metadata.labels === undefined ? undefined : <Chips of={pairs(metadata.labels)} />],
          ["Finalizers", metadata.finalizers === undefined ? undefined : <Chips of={metadata.finalizers} />],
          ["UID", <code>{metadata.uid}</code>],
        ]}
      />
    </Panel>
  );
}

function Conditions({ of }: { of: Condition[] }) {
  return (
    <Panel title="Conditions">
      <ul class="conditions">
        {of.map((condition) => (
          <li key={condition.type}>
            <b>{condition.type}</b>
            <span class={`condition-${condition.status}`}>{condition.status}</span>
            <small>
              <Age of={condition.lastTransitionTime} />
            </small>
            {(condition.reason || condition.message) && (
              <p>
                {condition.reason}
                {condition.message && `: ${condition.message}`}
              </p>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** A change is followed by others; one waits this many milliseconds for them before one asks why. */
const SETTLE = 1_000;

/** What is not well with the object, if something is not. */
function Why({ object }: { object: KubeObject }) {
  const [explanation, setExplanation] = useState<Explanation | undefined>();
  const { uid, name, namespace, resourceVersion } = object.metadata;
  useEffect(() => {
    const stop = new AbortController();
    const query: Record<string, string> = { kind: object.kind ?? "", name, ...(namespace === undefined ? {} : { namespace }) };
    const ask = () =>
      own<Explanation>("why", { query, signal: stop.signal }).then(setExplanation, () => {
        // Of most kinds nothing is known; and what can't be read is said where it is shown.
        if (!stop.signal.aborted) setExplanation(undefined);
      });
    const timer = setTimeout(() => void ask(), explanation === undefined ? 0 : SETTLE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [uid, resourceVersion]);
  if (explanation === undefined || explanation.causes.length === 0) return null;
  return (
    <Panel title="Why" wide>
      <p class="why">{explanation.summary}</p>
      {explanation.causes.map((cause, index) => (
        <DiagnosisCard key={`${cause.cause}/${cause.subject.name}`} of={cause} open={index === 0} />
      ))}
      {explanation.unread.length > 0 && (
        <p class="note">Not read: {explanation.unread.map((each) => `${each.resource} (${each.reason})`).join(", ")}</p>
      )}
    </Panel>
  );
}
