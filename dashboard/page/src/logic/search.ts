/** Search by a few letters of what one looks for. */

/** How well a text fits: higher is better, undefined if the letters are not in it in this order. */
export function score(wanted: string, text: string): number | undefined {
  const query = wanted.toLowerCase();
  const target = text.toLowerCase();
  const whole = target.indexOf(query);
  if (whole >= 0) return 1000 - whole - target.length / 10 + (startsWord(target, whole) ? 100 : 0);
  let points = 0;
  let at = -1;
  for (const letter of query) {
    const next = target.indexOf(letter, at + 1);
    if (next < 0) return undefined;
    points += next === at + 1 ? 10 : startsWord(target, next) ? 8 : 1 - Math.min(next - at, 10) / 10;
    at = next;
  }
  return points - target.length / 10;
}

function startsWord(text: string, index: number): boolean {
  return index === 0 || /[^a-z0-9]/.test(text[index - 1] ?? "");
}

/** The best of them for words that must all fit somewhere, best first. */
export function search<T>(wanted: string, items: T[], textOf: (item: T) => string, limit: number): T[] {
  const words = wanted.trim().split(/\s+/).filter((word) => word !== "");
  const found: { item: T; points: number }[] = [];
  for (const item of items) {
    const text = textOf(item);
    let points = 0;
    let fits = true;
    for (const word of words) {
      const of = score(word, text);
      if (of === undefined) {
        fits = false;
        break;
      }
      points += of;
    }
    if (fits) found.push({ item, points });
  }
  return found
    .sort((one, other) => other.points - one.points)
    .slice(0, limit)
    .map((entry) => entry.item);
}

/** Whether a row is kept by a table's filter: every word stands in its text. */
export function keeps(filter: string, text: string): boolean {
  const target = text.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => target.includes(word));
}
