/** Keys that work everywhere on the page. */

import { useEffect, useState } from "preact/hooks";
import { VIEWS } from "../views";
import { Dialog } from "./basics";
import { letterKeys, setLetterKeys } from "./settings";

interface Handlers {
  search: () => void;
  help: () => void;
}

/** Whether what is typed is meant for the element that has the focus. */
function takesText(element: EventTarget | null): boolean {
  return element instanceof Element && element.closest("input:not([type=checkbox]), textarea, select, [role=textbox], dialog") !== null;
}

export function useKeys({ search, help }: Handlers): void {
  useEffect(() => {
    let going = false;
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        search();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || takesText(event.target) || !letterKeys()) return;
      if (going) {
        going = false;
        const view = Object.entries(VIEWS).find(([, { key }]) => key === event.key)?.[0];
        if (view !== undefined) location.hash = `#/${view}`;
        return;
      }
      const actions: Record<string, () => void> = {
        "/": search,
        "?": help,
        g: () => (going = true),
        n: () => document.querySelector<HTMLElement>("#namespace")?.focus(),
        f: () => document.querySelector<HTMLElement>("main .filter")?.focus(),
        c: () => (location.hash = "#/create"),
      };
      const action = actions[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

export function Help({ onClose }: { onClose: () => void }) {
  const [letters, setLetters] = useState(letterKeys());
  const keys: [string, string][] = [
    ["Ctrl+K or /", "Search everything"],
    ["↓ ↑ or j k", "From row to row in a table"],
    ["Enter", "Open the row"],
    ["n", "Choose the namespace"],
    ["f", "Filter the table, search the log"],
    ["c", "Create from YAML"],
    ["Escape", "Close what is open"],
    ...Object.values(VIEWS).flatMap(({ key, text }): [string, string][] => (key === undefined || text === undefined ? [] : [[`g ${key}`, text]])),
    ["Ctrl+Shift+Escape", "Leave the terminal"],
    ["?", "This help"],
  ];
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {keys.map(([key, text]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={letters}
          onChange={(event) => {
            setLetters(event.currentTarget.checked);
            setLetterKeys(event.currentTarget.checked);
          }}
        />
        Keys without Ctrl work
      </label>
    </Dialog>
  );
}
