/** Lines of a log as it comes in pieces. */

/** Older lines are dropped beyond this. */
export const MOST_LINES = 20_000;

const COLOURS = /\x1b\[[0-9;?]*[A-Za-z]/g;

export class LogLines {
  lines: string[] = [];
  /** How many lines were dropped. */
  dropped = 0;
  private rest = "";

  /** Takes a piece in. */
  add(text: string): void {
    const parts = (this.rest + text).split("\n");
    this.rest = parts.pop() ?? "";
    for (const part of parts) this.lines.push(clean(part));
    this.trim();
  }

  /** Nothing more comes: what is left is a line too. */
  end(): void {
    if (this.rest !== "") this.lines.push(clean(this.rest));
    this.rest = "";
    this.trim();
  }

  private trim(): void {
    const over = this.lines.length - MOST_LINES;
    if (over <= 0) return;
    this.lines.splice(0, over);
    this.dropped += over;
  }
}

function clean(line: string): string {
  return line.replace(COLOURS, "").replace(/\r$/, "");
}

/** A line in parts: those at odd places match what is searched for. */
export function parts(line: string, wanted: string): string[] {
  if (wanted === "") return [line];
  const found: string[] = [];
  const lower = line.toLowerCase();
  const target = wanted.toLowerCase();
  let from = 0;
  for (;;) {
    const at = lower.indexOf(target, from);
    if (at < 0) break;
    found.push(line.slice(from, at), line.slice(at, at + target.length));
    from = at + target.length;
  }
  found.push(line.slice(from));
  return found;
}

/** The numbers of the lines that match. */
export function matching(lines: string[], wanted: string): number[] {
  if (wanted === "") return [];
  const target = wanted.toLowerCase();
  return lines.flatMap((line, index) => (line.toLowerCase().includes(target) ? [index] : []));
}
