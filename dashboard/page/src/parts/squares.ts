/** Painting squares on a canvas: only those that look different than before. */

import type { Look } from "../logic/podstate";
import { different, type Painted } from "../logic/squares";

/** Of a square, and between two, in pixels. */
const SIZE = 11;
export const GAP = 3;
export const STEP = SIZE + GAP;
export const LOOKS: Look[] = ["ready", "starting", "failing", "ending", "done", "unknown"];

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

/** Paints what has changed, and gives what the canvas has now. */
export function paint(canvas: HTMLCanvasElement, next: Painted, before: Painted | undefined): Painted | undefined {
  const context = canvas.getContext("2d");
  if (context === null) return undefined;
  const changed = different(next, before);
  if (changed === "all") {
    const scale = devicePixelRatio || 1;
    canvas.width = next.width * scale;
    canvas.height = next.height * scale;
    canvas.style.height = `${next.height}px`;
    context.scale(scale, scale);
  }
  const colours = palette(canvas);
  for (const index of changed === "all" ? next.looks.keys() : changed) {
    const look = next.looks[index];
    const [x, y] = [(index % next.perRow) * STEP, Math.floor(index / next.perRow) * STEP];
    // Lines may reach into the gap.
    if (changed !== "all") context.clearRect(x - 1, y - 1, SIZE + 2, SIZE + 2);
    if (look !== undefined) square(context, look, colours[look], x, y);
  }
  return next;
}

/** One of them; shape says it too, for whom colours don't. */
function square(context: CanvasRenderingContext2D, look: Look, colour: string, x: number, y: number): void {
  context.beginPath();
  if (look === "starting" || look === "ending") {
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.roundRect(x + 1, y + 1, SIZE - 2, SIZE - 2, 2);
    context.stroke();
    return;
  }
  context.fillStyle = colour;
  if (look === "failing") {
    context.moveTo(x + SIZE / 2, y);
    context.lineTo(x + SIZE, y + SIZE / 2);
    context.lineTo(x + SIZE / 2, y + SIZE);
    context.lineTo(x, y + SIZE / 2);
    context.closePath();
  } else context.roundRect(x, y, SIZE, SIZE, 2.5);
  context.fill();
}
