/** Search over everything: views, and objects of the kinds one looks for. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { kube } from "../cluster/api";
import { type Kind, kindOf, linkTo, pathOf } from "../cluster/kinds";
import { search } from "../logic/search";
import { VIEWS } from "../views";
import { Dialog } from "./basics";

interface Entry {
  text: string;
  kind: string;
  where: string;
  href: string;
}

const SEARCHED = [
  "pods", "deployments", "statefulsets", "daemonsets", "jobs", "cronjobs", "services", "ingresses", "nodes", "namespaces",
  "configmaps", "secrets", "persistentvolumeclaims", "persistentvolumes", "storageclasses", "serviceaccounts",
];
const NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/** Most results shown. */
const SHOWN = 40;

function views(): Entry[] {
  const entries = Object.entries(VIEWS).flatMap(([view, { text }]) =>
    text === undefined ? [] : [{ text, kind: "View", where: "", href: `#/${view}` }],
  );
  return [...entries, { text: "Create from YAML", kind: "Action", where: "", href: "#/create" }];
}

async function objects(kind: Kind): Promise<Entry[]> {
  try {
    const list = await kube<{ items?: { metadata: { name: string; namespace?: string } }[] }>(pathOf(kind), { accept: NAMES_ONLY });
    return (list.items ?? []).map(({ metadata: { name, namespace } }) => ({
      text: name,
      kind: kind.kind,
      where: namespace ?? "",
      href: linkTo(kind, namespace, name),
    }));
  } catch {
    // What one may not list is not found.
    return [];
  }
}

export function Palette({ onClose }: { onClose: () => void }) {
  const [wanted, setWanted] = useState("");
  const [entries, setEntries] = useState<Entry[]>(views);
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    let here = true;
    for (const plural of SEARCHED) {
      void objects(kindOf(plural)).then((found) => {
        if (here && found.length > 0) setEntries((before) => [...before, ...found]);
      });
    }
    return () => {
      here = false;
    };
  }, []);
  const found = useMemo(() => search(wanted, entries, (entry) => `${entry.text} ${entry.kind} ${entry.where}`, SHOWN), [wanted, entries]);
  const current = Math.min(at, found.length - 1);
  useEffect(() => {
    list.current?.children[current]?.scrollIntoView({ block: "nearest" });
  }, [current]);
  const open = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    onClose();
    location.hash = entry.href;
  };
  return (
    <Dialog title="Search" onClose={onClose} wide>
      <input
        type="search"
        class="palette-input"
        placeholder="Name, kind or namespace"
        aria-label="Search everything"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found.length > 0 ? `palette-${current}` : undefined}
        // The dialog has just been opened for this.
        autofocus
        value={wanted}
        onInput={(event) => {
          setWanted(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
          if (step !== 0) {
            event.preventDefault();
            setAt((current + step + found.length) % Math.max(1, found.length));
          } else if (event.key === "Enter") {
            event.preventDefault();
            open(found[current]);
          }
        }}
      />
      <ul id="palette-list" class="palette" role="listbox" aria-label="Found" ref={list}>
        {found.map((entry, index) => (
          <li
            key={entry.href}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === current}
            onClick={() => open(entry)}
            onMouseMove={() => setAt(index)}
          >
            <span class="kind">{entry.kind}</span>
            <b>{entry.text}</b>
            <small>{entry.where}</small>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p class="empty">Nothing of this name.</p>}
    </Dialog>
  );
}
