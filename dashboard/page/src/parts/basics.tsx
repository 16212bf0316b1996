/** Small things that every view is made of. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { age } from "../logic/age";
import type { Listing } from "../cluster/live";

/** A page's heading with what can be done beside it. */
export function Heading({ title, kind, children }: { title: string; kind?: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Kubernetes dashboard`;
  }, [title]);
  return (
    <div class="heading">
      <h1 tabIndex={-1}>
        {kind !== undefined && <span class="kind">{kind}</span>}
        {title}
      </h1>
      <div class="actions">{children}</div>
    </div>
  );
}

export function Panel({ title, children, aside, wide = false }: { title?: string; children: ComponentChildren; aside?: ComponentChildren; wide?: boolean }) {
  return (
    <section class={wide ? "panel wide" : "panel"}>
      {title !== undefined && (
        <header>
          <h2>{title}</h2>
          {aside}
        </header>
      )}
      {children}
    </section>
  );
}

export type Tone = "good" | "busy" | "bad" | "quiet";

/** A state in a word; the dot repeats in colour what the word says. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`}>
      <i class="dot" aria-hidden="true" />
      {children}
    </span>
  );
}

/** What went wrong, in the API server's own words. */
export function Failure({ children }: { children: ComponentChildren }) {
  return (
    <p class="failure" role="alert">
      {children}
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** What to show of a list that is not there yet, or can't be read. */
export function ListState({ listing, children }: { listing: Listing<unknown>; children: ComponentChildren }) {
  return (
    <>
      {listing.error !== undefined && <Failure>{listing.error}</Failure>}
      {listing.error === undefined && !listing.ready && listing.items.length === 0 ? <Empty>Loading…</Empty> : children}
    </>
  );
}

const tickers = new Set<() => void>();
setInterval(() => {
  if (document.hidden) return;
  for (const ticker of tickers) ticker();
}, 1000);

/** Now, anew each second. */
export function useNow(): number {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const ticker = () => redraw(0);
    tickers.add(ticker);
    return () => void tickers.delete(ticker);
  }, []);
  return Date.now();
}

/** How long ago something was; only this text is drawn anew as time goes by. */
export function Age({ of }: { of: string | null | undefined }) {
  const [text, setText] = useState(() => age(of, Date.now()));
  useEffect(() => {
    const ticker = () => setText(age(of, Date.now()));
    ticker();
    tickers.add(ticker);
    return () => void tickers.delete(ticker);
  }, [of]);
  return (
    <time dateTime={of ?? undefined} title={of ?? undefined}>
      {text}
    </time>
  );
}

export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== undefined && value !== "" && value !== null)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function Chips({ of }: { of: string[] }) {
  return (
    <span class="chips">
      {of.map((text) => (
        <span class="chip" key={text}>
          {text}
        </span>
      ))}
    </span>
  );
}

/** Links that choose what is shown below them. */
export function Tabs({ of, current, label }: { of: { id: string; text: string; href: string }[]; current: string; label: string }) {
  return (
    <nav class="tabs" aria-label={label}>
      {of.map((tab) => (
        <a key={tab.id} href={tab.href} aria-current={tab.id === current ? "page" : undefined}>
          {tab.text}
        </a>
      ))}
    </nav>
  );
}

/** A dialog over the page; Escape closes it, and the focus goes back where it was. */
export function Dialog({ title, onClose, children, wide = false }: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    dialog?.showModal();
    return () => {
      // While it is open, nothing else can have the focus.
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : undefined}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="dialog">
        <header>
          <h2>{title}</h2>
          <button type="button" class="icon" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function Field({ label, children }: { label: string; children: JSX.Element }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}
