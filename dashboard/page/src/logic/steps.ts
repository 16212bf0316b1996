/** The steps that all processes note of their work, as `/debug/hardway/steps` sends them. */

export interface Step {
  type: string;
  /** When it began. */
  time: string;
  process: string;
  host?: string;
  resource?: string;
  namespace?: string;
  name?: string;
  uid?: string;
  auditID?: string;
  what: string;
  /** How long it took; absent for a moment. */
  seconds?: number;
  details?: Record<string, string>;
  /** How many are missing, in a line of the type LOST. */
  count?: number;
}

/** Steps kept at most. */
export const MOST_STEPS = 5_000;

/** Takes lines apart as they come in pieces. */
export class StepReader {
  private rest = "";

  /** The steps that are whole by now. Other types of lines are ignored, and lines that make no sense. */
  read(piece: string): { steps: Step[]; synced: boolean; lost: number } {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
    const read = { steps: [] as Step[], synced: false, lost: 0 };
    for (const line of lines) {
      const step = parsed(line);
      if (step?.type === "STEP") read.steps.push(step);
      else if (step?.type === "SYNCED") read.synced = true;
      else if (step?.type === "LOST") read.lost += step.count ?? 0;
    }
    return read;
  }
}

function parsed(line: string): Step | undefined {
  try {
    return JSON.parse(line) as Step;
  } catch {
    return undefined;
  }
}

/** What a step is about: `pods/web`, or nothing for work on a key. */
export function objectOf({ resource, name }: Step): string {
  return resource === undefined ? "" : `${resource}/${name ?? ""}`;
}

/** Details in a line. */
export function detailsOf({ details }: Step): string {
  return Object.entries(details ?? {})
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** A length of time as short as it is: `0.3 ms`, `12 ms`, `1.25 s`. */
export function took(seconds: number): string {
  const milliseconds = seconds * 1000;
  if (milliseconds >= 1000) return `${seconds.toFixed(2)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0)} ms`;
}
