/** Pods as small squares on one canvas: thousands of them cost no more than a picture. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { linkTo, kindOf } from "../cluster/kinds";
import type { Pod } from "../cluster/objects";
import { count } from "../logic/labels";
import { countLooks, type Look, podState } from "../logic/podstate";
import type { Painted } from "../logic/squares";
import { GAP, LOOKS, paint, STEP } from "./squares";

const WORDS: Record<Look, string> = {
  ready: "ready",
  starting: "starting",
  failing: "failing",
  ending: "ending",
  done: "done",
  unknown: "unknown",
};

/** What the squares show, in words. */
export function summary(pods: Pod[]): string {
  const counts = countLooks(pods);
  const parts = LOOKS.filter((look) => counts.has(look)).map((look) => `${counts.get(look)} ${WORDS[look]}`);
  return pods.length === 0 ? "no pods" : `${count(pods.length, "pod")}: ${parts.join(", ")}`;
}

export function PodSquares({ pods, label, href }: { pods: Pod[]; label: string; href?: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [scheme, setScheme] = useState(0);
  const words = useMemo(() => summary(pods), [pods]);
  const [hover, setHover] = useState<{ pod: Pod; x: number; y: number } | undefined>();
  const sorted = useMemo(
    () =>
      pods
        .map((pod) => ({ pod, look: podState(pod).look, name: `${pod.metadata.namespace}/${pod.metadata.name}` }))
        .sort((one, other) => (one.name < other.name ? -1 : 1)),
    [pods],
  );
  const perRow = Math.max(1, Math.floor((width + GAP) / STEP));
  const height = Math.max(1, Math.ceil(sorted.length / perRow)) * STEP - GAP;

  useEffect(() => {
    const element = canvas.current?.closest(".squares");
    if (element == null) return;
    const sizes = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    sizes.observe(element);
    const repaint = () => setScheme((before) => before + 1);
    const preference = matchMedia("(prefers-color-scheme: dark)");
    preference.addEventListener("change", repaint);
    addEventListener("scheme", repaint);
    return () => {
      sizes.disconnect();
      preference.removeEventListener("change", repaint);
      removeEventListener("scheme", repaint);
    };
  }, []);

  const painted = useRef<Painted>();
  useEffect(() => {
    if (canvas.current === null || width === 0) return;
    painted.current = paint(canvas.current, { looks: sorted.map(({ look }) => look), width, height, perRow, scheme }, painted.current);
  }, [sorted, width, height, perRow, scheme]);

  const podAt = (event: MouseEvent): Pod | undefined => {
    const [column, row] = [Math.floor(event.offsetX / STEP), Math.floor(event.offsetY / STEP)];
    return column < perRow ? sorted[row * perRow + column]?.pod : undefined;
  };
  const picture = (
    <canvas
      ref={canvas}
      role="img"
      aria-label={`${label}: ${words}`}
      onMouseMove={(event) => {
        const pod = podAt(event);
        setHover(pod === undefined ? undefined : { pod, x: event.offsetX, y: event.offsetY });
      }}
      onMouseLeave={() => setHover(undefined)}
      onClick={(event) => {
        const pod = podAt(event);
        if (pod === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        location.hash = linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name);
      }}
    />
  );
  return (
    <div class="squares">
      {href === undefined ? picture : <a href={href}>{picture}</a>}
      {hover !== undefined && (
        <div
          class="tip"
          aria-hidden="true"
          ref={(element) => {
            element?.style.setProperty("left", `${Math.min(hover.x + 12, Math.max(0, width - 220))}px`);
            element?.style.setProperty("top", `${hover.y + 18}px`);
          }}
        >
          <b>{hover.pod.metadata.name}</b>
          <br />
          {hover.pod.metadata.namespace} · {podState(hover.pod).word}
        </div>
      )}
    </div>
  );
}

/** What the squares' colours and shapes mean. */
export function Legend() {
  return (
    <ul class="legend" aria-label="Legend">
      {LOOKS.map((look) => (
        <li key={look}>
          <i class={`square ${look}`} aria-hidden="true" />
          {WORDS[look]}
        </li>
      ))}
    </ul>
  );
}
