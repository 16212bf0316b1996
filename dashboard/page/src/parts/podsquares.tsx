/** Pods as small squares on one canvas: thousands of them cost no more than a picture. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { linkTo, kindOf } from "../cluster/kinds";
import type { Pod } from "../cluster/objects";
import { count } from "../logic/labels";
import { type Look, podState } from "../logic/podstate";

const SIZE = 11;
const GAP = 3;
const STEP = SIZE + GAP;
const LOOKS: Look[] = ["ready", "starting", "failing", "ending", "done", "unknown"];
const WORDS: Record<Look, string> = {
  ready: "ready",
  starting: "starting",
  failing: "failing",
  ending: "ending",
  done: "done",
  unknown: "unknown",
};

let mixed: Record<Look, string> | undefined;
/** Before the canvases are painted anew, which listen later. */
const forget = () => (mixed = undefined);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);
addEventListener("scheme", forget);

/** The colours as the style sheet has them in the scheme of the moment. */
function palette(canvas: HTMLElement): Record<Look, string> {
  mixed ??= mix(canvas);
  return mixed;
}

function mix(canvas: HTMLElement): Record<Look, string> {
  const style = getComputedStyle(canvas);
  const probe = document.createElement("i");
  canvas.parentElement?.append(probe);
  const colours = Object.fromEntries(
    LOOKS.map((look) => {
      probe.style.color = style.getPropertyValue(`--look-${look}`);
      return [look, getComputedStyle(probe).color];
    }),
  );
  probe.remove();
  return colours as Record<Look, string>;
}

/** What the squares show, in words. */
export function summary(pods: Pod[]): string {
  const counts = new Map<Look, number>();
  for (const pod of pods) {
    const { look } = podState(pod);
    counts.set(look, (counts.get(look) ?? 0) + 1);
  }
  const parts = LOOKS.filter((look) => counts.has(look)).map((look) => `${counts.get(look)} ${WORDS[look]}`);
  return pods.length === 0 ? "no pods" : `${count(pods.length, "pod")}: ${parts.join(", ")}`;
}

export function PodSquares({ pods, label, href }: { pods: Pod[]; label: string; href?: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [scheme, setScheme] = useState(0);
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

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (element === null || !context || width === 0) return;
    const scale = devicePixelRatio || 1;
    element.width = width * scale;
    element.height = height * scale;
    element.style.height = `${height}px`;
    context.scale(scale, scale);
    const colours = palette(element);
    for (const look of LOOKS) {
      context.fillStyle = colours[look];
      context.strokeStyle = colours[look];
      context.lineWidth = 1.5;
      context.beginPath();
      const hollow = look === "starting" || look === "ending";
      for (const [index, square] of sorted.entries()) {
        if (square.look !== look) continue;
        const [x, y] = [(index % perRow) * STEP, Math.floor(index / perRow) * STEP];
        // Shape says it too, for whom colours don't.
        if (hollow) context.roundRect(x + 1, y + 1, SIZE - 2, SIZE - 2, 2);
        else if (look === "failing") {
          context.moveTo(x + SIZE / 2, y);
          context.lineTo(x + SIZE, y + SIZE / 2);
          context.lineTo(x + SIZE / 2, y + SIZE);
          context.lineTo(x, y + SIZE / 2);
          context.closePath();
        } else context.roundRect(x, y, SIZE, SIZE, 2.5);
      }
      if (hollow) context.stroke();
      else context.fill();
    }
  }, [sorted, width, height, perRow, scheme]);

  const podAt = (event: MouseEvent): Pod | undefined => {
    const [column, row] = [Math.floor(event.offsetX / STEP), Math.floor(event.offsetY / STEP)];
    return column < perRow ? sorted[row * perRow + column]?.pod : undefined;
  };
  const picture = (
    <canvas
      ref={canvas}
      role="img"
      aria-label={`${label}: ${summary(pods)}`}
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
