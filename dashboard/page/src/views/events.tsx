/** What has happened in the last hour, everywhere. */

import { useMemo } from "preact/hooks";
import { kindOf, linkToReference, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { KubeEvent } from "../cluster/objects";
import { useScope } from "../cluster/session";
import { type Moment, moment } from "../logic/timeline";
import { Age, Badge, Heading, ListState } from "../parts/basics";
import { type Column, Table } from "../parts/table";

const COLUMNS: Column<Moment>[] = [
  { name: "Last", grow: 0.6, cell: ({ at }) => <Age of={new Date(at).toISOString()} />, sort: ({ at }) => -at },
  {
    name: "Reason",
    grow: 1.4,
    cell: ({ event }) => <Badge tone={event.type === "Warning" ? "bad" : "good"}>{event.reason}</Badge>,
    sort: ({ event }) => `${event.type === "Warning" ? 0 : 1}${event.reason}`,
  },
  {
    name: "Object",
    grow: 2,
    cell: ({ event: { involvedObject: object } }) => {
      const href = linkToReference(object);
      const text = `${object.kind}/${object.name}`;
      return href === undefined ? text : <a href={href}>{text}</a>;
    },
    sort: ({ event }) => `${event.involvedObject.kind}/${event.involvedObject.name}`,
  },
  { name: "Message", grow: 4, cell: ({ event }) => <span title={event.message}>{event.message}</span> },
  { name: "Times", grow: 0.5, minor: true, cell: ({ times }) => times, sort: ({ times }) => times },
  { name: "Namespace", grow: 1, minor: true, cell: ({ event }) => event.metadata.namespace, sort: ({ event }) => event.metadata.namespace ?? "" },
];

export function AllEvents() {
  const { namespace } = useScope();
  const listing = useLive<KubeEvent>({ path: pathOf(kindOf("events"), namespace) });
  const rows = useMemo(() => listing.items.map(moment), [listing.items]);
  return (
    <>
      <Heading title="Events" />
      <ListState listing={listing}>
        <Table
          label="Events"
          rows={rows}
          columns={COLUMNS}
          keyOf={({ event }) => event.metadata.uid}
          textOf={({ event }) => `${event.reason} ${event.message} ${event.involvedObject.kind}/${event.involvedObject.name} ${event.type}`}
          empty="Nothing has happened in the last hour."
        />
      </ListState>
    </>
  );
}
