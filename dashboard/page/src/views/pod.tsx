/** A pod: its containers, where it runs, what it uses. */

import { kindOf, linkTo } from "../cluster/kinds";
import { useMetrics } from "../cluster/metrics";
import type { Container, ContainerState, ContainerStatus, Pod } from "../cluster/objects";
import { podState } from "../logic/podstate";
import { bytes, cpu } from "../logic/quantity";
import { Age, Badge, Chips, Facts, Panel, type Tone } from "../parts/basics";
import { Chart } from "../parts/chart";
import { PodBadge } from "./pods";

export function PodDetails({ pod }: { pod: Pod }) {
  const { spec, status = {}, metadata } = pod;
  const state = podState(pod);
  const metrics = useMetrics("pods", metadata.namespace);
  const samples = metrics.of(`${metadata.namespace}/${metadata.name}`);
  return (
    <>
      <Panel title="Pod">
        <Facts
          facts={[
            ["State", <PodBadge pod={pod} />],
            ["Message", status.message],
            ["Ready", `${state.ready} of ${state.containers} containers`],
            ["Restarts", String(state.restarts)],
            ["Node", spec.nodeName === undefined ? "none yet" : <a href={linkTo(kindOf("nodes"), undefined, spec.nodeName)}>{spec.nodeName}</a>],
            ["Address", status.podIP],
            ["Service account", spec.serviceAccountName],
            ["Quality of service", status.qosClass],
            ["Volumes", <Chips of={(spec.volumes ?? []).map(volumeWords)} />],
          ]}
        />
      </Panel>
      <Panel title="Containers" wide>
        <div class="containers">
          {(spec.initContainers ?? []).map((container) => (
            <ContainerCard key={container.name} pod={pod} container={container} init statuses={status.initContainerStatuses} />
          ))}
          {spec.containers.map((container) => (
            <ContainerCard key={container.name} pod={pod} container={container} statuses={status.containerStatuses} />
          ))}
        </div>
      </Panel>
      <Panel title="Usage">
        {metrics.error !== undefined ? (
          <p class="note">
            {metrics.absent ? "The cluster has no metrics server. " : ""}
            {metrics.error}
          </p>
        ) : (
          <>
            <Chart title="CPU" samples={samples} value={(sample) => sample.cpu} format={cpu} />
            <Chart title="Memory" samples={samples} value={(sample) => sample.memory} format={bytes} />
          </>
        )}
      </Panel>
    </>
  );
}

function volumeWords(volume: { name: string; [source: string]: unknown }): string {
  const source = Object.keys(volume).find((key) => key !== "name") ?? "";
  return `${volume.name} (${source})`;
}

function stateWords(state: ContainerState | undefined): { words: string; tone: Tone; since?: string; message?: string } {
  if (state?.running) return { words: "running", tone: "good", since: state.running.startedAt };
  if (state?.terminated) {
    const { reason, exitCode, finishedAt, message } = state.terminated;
    return { words: `${reason ?? "ended"} (exit code ${exitCode})`, tone: exitCode === 0 ? "quiet" : "bad", since: finishedAt, message };
  }
  const reason = state?.waiting?.reason ?? "waiting";
  const patient = reason === "ContainerCreating" || reason === "PodInitializing" || reason === "waiting";
  return { words: reason, tone: patient ? "busy" : "bad", message: state?.waiting?.message };
}

interface CardProps {
  pod: Pod;
  container: Container;
  statuses?: ContainerStatus[];
  init?: boolean;
}

function ContainerCard({ pod, container, statuses = [], init = false }: CardProps) {
  const status = statuses.find((each) => each.name === container.name);
  const now = stateWords(status?.state);
  const before = status?.lastState?.terminated === undefined ? undefined : stateWords(status.lastState);
  const link = (tab: string) => `${linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name, tab)}&container=${encodeURIComponent(container.name)}`;
  return (
    <article class="container">
      <header>
        <h3>{container.name}</h3>
        {init && <small>{container.restartPolicy === "Always" ? "sidecar" : "init"}</small>}
        <Badge tone={now.tone}>{now.words}</Badge>
        {status !== undefined && !init && <small>{status.ready ? "ready" : "not ready"}</small>}
      </header>
      {now.message !== undefined && <p class="note">{now.message}</p>}
      <Facts
        facts={[
          ["Image", <code>{container.image}</code>],
          ["Since", now.since === undefined ? undefined : <Age of={now.since} />],
          ["Restarts", status === undefined ? undefined : String(status.restartCount)],
          ["Before", before?.words],
          ["Command", container.command === undefined ? undefined : <code>{[...container.command, ...(container.args ?? [])].join(" ")}</code>],
          ["Ports", container.ports === undefined ? undefined : <Chips of={container.ports.map((port) => `${port.containerPort}/${port.protocol ?? "TCP"}`)} />],
          ["Requests", container.resources?.requests === undefined ? undefined : <Chips of={Object.entries(container.resources.requests).map(([key, value]) => `${key} ${value}`)} />],
          ["Limits", container.resources?.limits === undefined ? undefined : <Chips of={Object.entries(container.resources.limits).map(([key, value]) => `${key} ${value}`)} />],
        ]}
      />
      <p class="links">
        <a href={link("logs")}>Logs</a>
        {status?.state?.running !== undefined && <a href={link("terminal")}>Terminal</a>}
      </p>
    </article>
  );
}
