/** A Service: its endpoints, and which node forwards where. */

import { useMemo } from "preact/hooks";
import { kindOf, linkTo, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { EndpointSlice, Node, Service } from "../cluster/objects";
import { type Endpoint, endpointsOf, forwarding } from "../logic/forwarding";
import { pairs } from "../logic/labels";
import { Badge, Chips, Empty, Facts, ListState, Panel } from "../parts/basics";

export function ServiceDetails({ service }: { service: Service }) {
  const { spec, metadata, status } = service;
  const slices = useLive<EndpointSlice>({
    path: pathOf(kindOf("endpointslices"), metadata.namespace),
    labelSelector: `kubernetes.io/service-name=${metadata.name}`,
  });
  const nodes = useLive<Node>({ path: "/api/v1/nodes" });
  const endpoints = useMemo(() => endpointsOf(service, slices.items), [service, slices.items]);
  const ways = useMemo(() => forwarding(service, endpoints, nodes.items), [service, endpoints, nodes.items]);
  const external = (status?.loadBalancer?.ingress ?? []).map((ingress) => ingress.ip ?? ingress.hostname ?? "");
  const headless = spec.clusterIP === "None";
  return (
    <>
      <Panel title="Service">
        <Facts
          facts={[
            ["Type", spec.type ?? "ClusterIP"],
            ["Cluster address", headless ? "none: names lead to the pods themselves" : spec.clusterIP],
            ["External", external.length > 0 ? <Chips of={external} /> : spec.externalName],
            ["Ports", <Chips of={(spec.ports ?? []).map((port) => `${port.name ? `${port.name} ` : ""}${port.port} → ${port.targetPort ?? port.port}${port.nodePort ? `, node port ${port.nodePort}` : ""} ${port.protocol ?? "TCP"}`)} />],
            ["Selector", spec.selector === undefined ? "none: somebody else keeps its endpoints" : <Chips of={pairs(spec.selector)} />],
            ["From inside", spec.internalTrafficPolicy],
            ["From outside", spec.externalTrafficPolicy],
          ]}
        />
      </Panel>
      <Panel title="Endpoints">
        <ListState listing={slices}>
          {endpoints.length === 0 && <Empty>None: nothing answers for this Service.</Empty>}
          <ul class="rows">
            {endpoints.map((endpoint) => (
              <li key={endpoint.address}>
                <Badge tone={endpoint.ready ? "good" : endpoint.ending ? "quiet" : "busy"}>
                  {endpoint.ready ? "ready" : endpoint.ending ? "ending" : "not ready"}
                </Badge>
                <code>{endpoint.address}</code>
                <small>{endpoint.ports}</small>
                <EndpointLink of={endpoint} namespace={metadata.namespace} />
                <small>{endpoint.node}</small>
              </li>
            ))}
          </ul>
        </ListState>
      </Panel>
      {!headless && spec.type !== "ExternalName" && (
        <Panel title="Which node forwards where" wide>
          <ListState listing={nodes}>
            <div class="scroll" tabIndex={0} role="region" aria-label="Forwarding">
              <table class="plain">
                <thead>
                  <tr>
                    <th scope="col">A connection on</th>
                    <th scope="col">from a pod goes to</th>
                    <th scope="col">from outside goes to</th>
                  </tr>
                </thead>
                <tbody>
                  {ways.map((way) => (
                    <tr key={way.node}>
                      <th scope="row">{way.node}</th>
                      <td>
                        <Targets of={way.inside} from={way.node} />
                      </td>
                      <td>{way.outside === undefined ? <span class="quiet">not taken</span> : <Targets of={way.outside} from={way.node} />}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </ListState>
        </Panel>
      )}
    </>
  );
}

function EndpointLink({ of, namespace }: { of: Endpoint; namespace: string | undefined }) {
  return of.pod === "" ? null : <a href={linkTo(kindOf("pods"), namespace, of.pod)}>{of.pod}</a>;
}

function Targets({ of, from }: { of: Endpoint[]; from: string }) {
  if (of.length === 0) return <span class="quiet">nowhere: it is refused</span>;
  return (
    <span class="chips">
      {of.slice(0, 20).map((endpoint) => (
        <span key={endpoint.address} class={endpoint.node === from ? "chip near" : "chip"}>
          {endpoint.pod || endpoint.address}
          <small>{endpoint.node === from ? " here" : endpoint.node === "" ? "" : ` on ${endpoint.node}`}</small>
        </span>
      ))}
      {of.length > 20 && <span class="chip">{`and ${of.length - 20} more`}</span>}
    </span>
  );
}
