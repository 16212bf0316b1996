/** Which squares of a picture of pods have to be painted. */

import type { Look } from "./podstate";

/** What is on a canvas. */
export interface Painted {
  looks: Look[];
  width: number;
  height: number;
  perRow: number;
  /** Counts changes of the colours. */
  scheme: number;
}

/** Which of the squares are to be painted: all, unless the canvas has them where they belong already. */
export function different(next: Painted, before: Painted | undefined): number[] | "all" {
  const same =
    before !== undefined &&
    before.looks.length === next.looks.length &&
    (["width", "height", "perRow", "scheme"] as const).every((name) => before[name] === next[name]);
  return same ? [...next.looks.keys()].filter((index) => next.looks[index] !== before.looks[index]) : "all";
}
