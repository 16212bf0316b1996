/** Events along a line of time. */

import type { KubeEvent } from "../cluster/objects";

export interface Moment {
  event: KubeEvent;
  at: number;
  /** When it first was, for one that came again and again. */
  since: number;
  times: number;
}

/** When an event last was: of the several fields that clients fill in, the latest. */
export function moment(event: KubeEvent): Moment {
  const times = [
    event.series?.lastObservedTime,
    event.lastTimestamp,
    event.eventTime,
    event.firstTimestamp,
    event.metadata.creationTimestamp,
  ]
    .map((text) => (text ? Date.parse(text) : Number.NaN))
    .filter((time) => !Number.isNaN(time));
  const first = [event.firstTimestamp, event.eventTime, event.metadata.creationTimestamp]
    .map((text) => (text ? Date.parse(text) : Number.NaN))
    .find((time) => !Number.isNaN(time));
  const at = Math.max(0, ...times);
  return { event, at, since: first ?? at, times: event.series?.count ?? event.count ?? 1 };
}

/** Moments, the latest first. */
export function latestFirst(events: KubeEvent[]): Moment[] {
  return events.map(moment).sort((one, other) => other.at - one.at);
}

/** Moments with their place between 0 and 1 along the line from the first to the last of them. */
export function along(moments: Moment[]): { moment: Moment; place: number }[] {
  const first = Math.min(...moments.map((each) => each.since));
  const last = Math.max(...moments.map((each) => each.at));
  const length = Math.max(1, last - first);
  return moments.map((each) => ({ moment: each, place: (each.at - first) / length }));
}
