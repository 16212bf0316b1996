/** Lines over time. */

import type { Usage } from "../cluster/metrics";
import { clock } from "../logic/age";

interface Props {
  title: string;
  samples: Usage[];
  value: (sample: Usage) => number;
  format: (value: number) => string;
  /** What there is at most, drawn as the upper edge. */
  limit?: number;
}

const WIDTH = 320;
const HEIGHT = 72;

export function Chart({ title, samples, value, format, limit }: Props) {
  const last = samples.at(-1);
  const values = samples.map(value);
  const top = Math.max(limit ?? 0, ...values, Number.MIN_VALUE) * (limit === undefined ? 1.2 : 1);
  const from = samples[0]?.at ?? 0;
  const length = Math.max(1, (last?.at ?? 0) - from);
  const points = samples.map((sample) => {
    const x = ((sample.at - from) / length) * WIDTH;
    return `${x.toFixed(1)},${(HEIGHT - (value(sample) / top) * (HEIGHT - 4) - 2).toFixed(1)}`;
  });
  const now = last === undefined ? "no measurement yet" : format(value(last));
  const of = limit === undefined ? "" : ` of ${format(limit)}`;
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <strong>
          {now}
          {last !== undefined && <small>{of}</small>}
        </strong>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${now}${of}`}>
        {points.length > 1 && (
          <>
            <polygon points={`0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`} class="area" />
            <polyline points={points.join(" ")} class="line" />
          </>
        )}
        {points.length === 1 && <line x1="0" x2={WIDTH} y1={points[0]?.split(",")[1]} y2={points[0]?.split(",")[1]} class="line" />}
      </svg>
      <div class="axis">
        <span>{samples.length > 1 ? clock(from) : ""}</span>
        <span>{last === undefined ? "" : clock(last.at)}</span>
      </div>
    </figure>
  );
}

/** A share of a whole as a bar. */
export function Meter({ label, value, limit, format }: { label: string; value?: number; limit: number; format: (value: number) => string }) {
  const share = value === undefined || limit === 0 ? 0 : Math.min(1, value / limit);
  const words = value === undefined ? "not measured" : `${format(value)} / ${format(limit)}`;
  return (
    <div class="meter">
      <span class="meter-label">
        {label} <b>{words}</b>
      </span>
      <span class={share > 0.9 ? "track full" : "track"} aria-hidden="true">
        <i ref={(element) => element?.style.setProperty("width", `${(share * 100).toFixed(1)}%`)} />
      </span>
    </div>
  );
}
