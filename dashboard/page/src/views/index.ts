/** All views, by the first word of the address. */

import type { ComponentType } from "preact";
import type { Route } from "../logic/route";
import { Access } from "./access";
import { Cluster } from "./cluster";
import { Create } from "./create";
import { AllEvents } from "./events";
import { Follow } from "./follow";
import { Kinds } from "./kinds";
import { Nodes } from "./nodes";
import { ObjectView } from "./object";
import { Pods } from "./pods";
import { Resources } from "./resources";
import { Workloads } from "./workloads";

export interface View {
  component: ComponentType<{ route: Route }>;
  /** As the navigation calls it; absent for what is reached otherwise. */
  text?: string;
  /** The letter that leads there, after `g`. */
  key?: string;
}

export const VIEWS: Record<string, View> = {
  cluster: { component: Cluster, text: "Cluster", key: "h" },
  nodes: { component: Nodes, text: "Nodes", key: "n" },
  workloads: { component: Workloads, text: "Workloads", key: "w" },
  pods: { component: Pods, text: "Pods", key: "p" },
  services: { component: Kinds, text: "Services", key: "s" },
  storage: { component: Kinds, text: "Storage", key: "v" },
  configuration: { component: Kinds, text: "Configuration", key: "c" },
  events: { component: AllEvents, text: "Events", key: "e" },
  follow: { component: Follow, text: "Follow", key: "f" },
  resources: { component: Resources, text: "Resources", key: "r" },
  access: { component: Access, text: "Access", key: "a" },
  create: { component: Create },
  object: { component: ObjectView },
};
