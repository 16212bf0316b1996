/** Kubernetes' quantities: `250m`, `1Gi`, `12345n`, `1e3`. */

/** Powers of ten. */
const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
/** Powers of two. */
const BINARY: Record<string, number> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };

/** The number a quantity stands for; undefined for what is none. */
export function quantity(text: string | number | undefined): number | undefined {
  if (typeof text === "number") return text;
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/.exec(text?.trim() ?? "");
  if (match === null) return undefined;
  const [, number = "", exponent = "", suffix = ""] = match;
  const decimal = DECIMAL[suffix];
  if (decimal !== undefined) return Number(`${number}e${decimal}`);
  return Number(number + exponent) * 2 ** (BINARY[suffix] ?? 0);
}

/** CPUs: `250m`, `1.50`. */
export function cpu(cores: number): string {
  if (cores < 0.0005) return "0";
  return cores < 1 ? `${Math.round(cores * 1000)}m` : cores.toFixed(2);
}

/** Bytes: `64 MiB`, `1.5 GiB`. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** What the containers of a pod use together, from an object of `metrics.k8s.io`. */
export function usage(metrics: { usage?: Usage; containers?: { usage?: Usage }[] }): { cpu: number; memory: number } {
  const parts = metrics.containers ?? [metrics];
  const sum = (field: keyof Usage) => parts.reduce((total, part) => total + (quantity(part.usage?.[field]) ?? 0), 0);
  return { cpu: sum("cpu"), memory: sum("memory") };
}

interface Usage {
  cpu?: string;
  memory?: string;
}
