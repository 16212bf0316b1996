/** Which node forwards a Service's connections to which endpoints. */

import type { EndpointSlice, Node, Service } from "../cluster/objects";

export interface Endpoint {
  address: string;
  ports: string;
  ready: boolean;
  ending: boolean;
  node: string;
  pod: string;
}

/** The endpoints of a Service, each address once. */
export function endpointsOf(service: Service, slices: EndpointSlice[]): Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const slice of slices) {
    if (slice.metadata.namespace !== service.metadata.namespace) continue;
    if (slice.metadata.labels?.["kubernetes.io/service-name"] !== service.metadata.name) continue;
    const ports = (slice.ports ?? []).map((port) => `${port.port ?? "any"}/${port.protocol ?? "TCP"}`).join(", ");
    for (const endpoint of slice.endpoints ?? []) {
      for (const address of endpoint.addresses) {
        found.set(address, {
          address,
          ports,
          ready: endpoint.conditions?.ready ?? true,
          ending: endpoint.conditions?.terminating ?? false,
          node: endpoint.nodeName ?? "",
          pod: endpoint.targetRef?.kind === "Pod" ? (endpoint.targetRef.name ?? "") : "",
        });
      }
    }
  }
  return [...found.values()].sort((one, other) => one.address.localeCompare(other.address));
}

export interface Forwarding {
  node: string;
  /** Where connections from within the cluster go, from a pod on this node. */
  inside: Endpoint[];
  /** Where connections from outside go that arrive at this node; undefined if the Service takes none. */
  outside?: Endpoint[];
}

/** For each node, where it sends what comes for a Service. */
export function forwarding(service: Service, endpoints: Endpoint[], nodes: Node[]): Forwarding[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  // While none is ready, those that end but still serve are used.
  const usable = ready.length > 0 ? ready : endpoints.filter((endpoint) => endpoint.ending);
  const takes = service.spec.type === "NodePort" || service.spec.type === "LoadBalancer" || hasExternalIPs(service);
  return nodes
    .map((node) => {
      const name = node.metadata.name;
      const here = usable.filter((endpoint) => endpoint.node === name);
      return {
        node: name,
        inside: service.spec.internalTrafficPolicy === "Local" ? here : usable,
        outside: takes ? (service.spec.externalTrafficPolicy === "Local" ? here : usable) : undefined,
      };
    })
    .sort((one, other) => one.node.localeCompare(other.node));
}

function hasExternalIPs(service: Service): boolean {
  return (service.spec.externalIPs ?? []).length > 0;
}
