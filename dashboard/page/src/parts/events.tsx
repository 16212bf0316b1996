/** The events of one object, on a line of time and as a list. */

import { useMemo } from "preact/hooks";
import { kindOf, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { KubeEvent, KubeObject } from "../cluster/objects";
import { clock } from "../logic/age";
import { along, latestFirst } from "../logic/timeline";
import { Age, Empty, ListState, Panel } from "./basics";

export function Events({ of }: { of: KubeObject }) {
  // Events of what is in no namespace are kept in `default`.
  const listing = useLive<KubeEvent>({
    path: pathOf(kindOf("events"), of.metadata.namespace ?? "default"),
    fieldSelector: `involvedObject.name=${of.metadata.name},involvedObject.kind=${of.kind ?? ""}`,
  });
  const moments = useMemo(() => latestFirst(listing.items), [listing.items]);
  const points = useMemo(() => along(moments), [moments]);
  return (
    <Panel title="Events" wide>
      <ListState listing={listing}>
        {moments.length === 0 ? (
          <Empty>None in the last hour.</Empty>
        ) : (
          <>
            {points.length > 1 && (
              <div class="eventline" aria-hidden="true">
                {points.map(({ moment, place }) => (
                  <i
                    key={moment.event.metadata.uid}
                    class={moment.event.type === "Warning" ? "warning" : undefined}
                    title={`${clock(moment.at)} ${moment.event.reason}`}
                    ref={(element) => element?.style.setProperty("left", `${(place * 100).toFixed(1)}%`)}
                  />
                ))}
              </div>
            )}
            <ol class="events" tabIndex={0} aria-label="Events, the latest first">
              {moments.map(({ event, at, times }) => (
                <li key={event.metadata.uid} class={event.type === "Warning" ? "warning" : undefined}>
                  <Age of={new Date(at).toISOString()} />
                  <b>{event.reason}</b>
                  <span>
                    {event.message}
                    {times > 1 && <small> ×{times}</small>}
                  </span>
                  <small>{event.source?.component || event.reportingComponent}</small>
                </li>
              ))}
            </ol>
          </>
        )}
      </ListState>
    </Panel>
  );
}
