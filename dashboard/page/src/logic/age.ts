/** Times as kubectl prints them. */

const UNITS: [string, number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
];

/** A length of time in its largest unit, and in the next one too while the first is small: `3m10s`, `5d`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds > 730 * 86_400) return `${Math.floor(seconds / (365 * 86_400))}y`;
  const index = UNITS.findIndex(([, length]) => seconds >= 2 * length);
  const [unit, length] = UNITS[index] ?? ["s", 1];
  const first = Math.floor(seconds / length);
  const next = UNITS[index + 1];
  if (next === undefined || first >= 10) return `${first}${unit}`;
  const rest = Math.floor((seconds % length) / next[1]);
  return rest === 0 ? `${first}${unit}` : `${first}${unit}${rest}${next[0]}`;
}

/** How long ago a timestamp of the API was; `never` without one. */
export function age(timestamp: string | null | undefined, now: number): string {
  const at = timestamp ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(at) ? "never" : duration(now - at);
}

/** A time of day, with seconds. */
export function clock(milliseconds: number): string {
  return new Date(milliseconds).toLocaleTimeString(undefined, { hour12: false });
}
