/** Short messages of what has been done, at the edge of the page. */

import { useEffect, useReducer } from "preact/hooks";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

let toasts: Toast[] = [];
let last = 0;
let redrawAll: () => void = () => undefined;

export function toast(text: string, bad = false): void {
  last += 1;
  const id = last;
  toasts = [...toasts, { id, text, bad }].slice(-4);
  redrawAll();
  // What went wrong stays until it is closed.
  if (!bad) setTimeout(() => close(id), 6000);
}

function close(id: number): void {
  toasts = toasts.filter((toast) => toast.id !== id);
  redrawAll();
}

export function Toasts() {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    redrawAll = () => redraw(0);
  }, []);
  return (
    <div class="toasts" role="status">
      {toasts.map(({ id, text, bad }) => (
        <div key={id} class={bad ? "toast bad" : "toast"}>
          <span>{text}</span>
          <button type="button" class="icon" aria-label="Close message" onClick={() => close(id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
