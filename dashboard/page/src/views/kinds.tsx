/** Views that show several kinds under tabs, each as a table. */

import { type Kind, kindOf } from "../cluster/kinds";
import type { Route } from "../logic/route";
import { Heading, Tabs } from "../parts/basics";
import { KindTable } from "./kindtable";

interface Group {
  title: string;
  /** Plural names and how the tabs call them. */
  tabs: [string, string][];
}

export const GROUPS: Record<string, Group> = {
  services: {
    title: "Services",
    tabs: [
      ["services", "Services"],
      ["ingresses", "Ingresses"],
      ["endpointslices", "EndpointSlices"],
      ["networkpolicies", "Network policies"],
    ],
  },
  storage: {
    title: "Storage",
    tabs: [
      ["persistentvolumeclaims", "Claims"],
      ["persistentvolumes", "Volumes"],
      ["storageclasses", "Classes"],
    ],
  },
  configuration: {
    title: "Configuration",
    tabs: [
      ["configmaps", "ConfigMaps"],
      ["secrets", "Secrets"],
      ["serviceaccounts", "ServiceAccounts"],
      ["resourcequotas", "Quotas"],
      ["limitranges", "Limits"],
      ["horizontalpodautoscalers", "Autoscalers"],
      ["poddisruptionbudgets", "Disruption budgets"],
      ["namespaces", "Namespaces"],
    ],
  },
};

export function Kinds({ route }: { route: Route }) {
  const group = GROUPS[route.view];
  const plural = route.parts[0] ?? group?.tabs[0]?.[0] ?? "";
  if (group === undefined || !group.tabs.some(([tab]) => tab === plural)) return <Heading title="There is no such view" />;
  const kind: Kind = kindOf(plural);
  return (
    <>
      <Heading title={group.title}>
        <a class="button" href={`#/create?kind=${kind.kind}`}>
          Create…
        </a>
      </Heading>
      <Tabs
        label={group.title}
        current={plural}
        of={group.tabs.map(([id, text]) => ({ id, text, href: `#/${route.view}/${id}` }))}
      />
      <KindTable key={plural} kind={kind} label={group.tabs.find(([tab]) => tab === plural)?.[1]} />
    </>
  );
}
