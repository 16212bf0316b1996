/** Lists that keep themselves up to date: subscriptions over the one WebSocket of the page. */

import { useEffect, useReducer } from "preact/hooks";
import { errorOf, socketUrl, type Status } from "./api";
import type { KubeObject } from "./objects";

export interface ColumnDefinition {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority?: number;
}

/** What to subscribe to; equal ones are shared. */
export interface Topic {
  path?: string;
  labelSelector?: string;
  fieldSelector?: string;
  as?: "object" | "metadata" | "table";
  problems?: { namespace?: string };
}

interface Batch {
  id: string;
  reset?: boolean;
  set?: unknown[];
  gone?: string[];
  ready?: boolean;
  columns?: ColumnDefinition[] | null;
  error?: Status | null;
  more?: number;
}

/** How a list stands at this moment. */
export interface Listing<T> {
  items: T[];
  ready: boolean;
  columns: ColumnDefinition[];
  error?: string;
  /** How many there are that are not among the items. */
  more: number;
}

interface Feed {
  id: string;
  topic: Topic;
  items: Map<string, unknown>;
  listing: Listing<unknown>;
  stale: boolean;
  /** When it was drawn last, as frames count time. */
  drawn: number;
  listeners: Set<() => void>;
  parting?: ReturnType<typeof setTimeout>;
}

/** How long a list that nobody looks at is kept, so that going back and forth costs nothing. */
const LINGER = 5_000;
/** How often a long list is drawn at most while it comes in pieces, in milliseconds. */
const PIECES = 200;
const EMPTY: Listing<never> = { items: [], ready: false, columns: [], more: 0 };

const feeds = new Map<string, Feed>();
let socket: WebSocket | undefined;
let lastId = 0;
let attempts = 0;
const changed = new Set<Feed>();
let scheduled = false;

/** Whether changes arrive at the moment; `undefined` before the first connection. */
export let connected: boolean | undefined;
const watchers = new Set<() => void>();

function setConnected(value: boolean): void {
  connected = value;
  for (const watcher of watchers) watcher();
}

function open(): void {
  if (socket !== undefined) return;
  const opened = new WebSocket(socketUrl("live"));
  socket = opened;
  opened.onopen = () => {
    attempts = 0;
    setConnected(true);
    for (const feed of feeds.values()) subscribe(feed);
  };
  opened.onmessage = (message) => apply(JSON.parse(String(message.data)) as Batch);
  opened.onclose = () => {
    if (socket !== opened) return;
    socket = undefined;
    setConnected(false);
    attempts += 1;
    if (feeds.size > 0) setTimeout(open, Math.min(10_000, 250 * 2 ** attempts));
  };
}

/** Forgets everything and closes: the viewer has changed. */
export function closeLive(): void {
  const closing = socket;
  socket = undefined;
  closing?.close();
  feeds.clear();
  changed.clear();
}

function say(message: object): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function subscribe(feed: Feed): void {
  say({ subscribe: { id: feed.id, ...feed.topic } });
}

function identity(item: unknown, index: number): string {
  const whole = item as { metadata?: { uid?: string }; object?: { metadata?: { uid?: string } } };
  return whole.metadata?.uid ?? whole.object?.metadata?.uid ?? String(index);
}

function apply(batch: Batch): void {
  const feed = [...feeds.values()].find((feed) => feed.id === batch.id);
  if (feed === undefined) return;
  if (batch.reset) feed.items.clear();
  for (const [index, item] of (batch.set ?? []).entries()) feed.items.set(identity(item, index), item);
  for (const uid of batch.gone ?? []) feed.items.delete(uid);
  feed.listing = {
    items: feed.listing.items,
    ready: batch.ready ?? feed.listing.ready,
    columns: batch.columns ?? feed.listing.columns,
    error: batch.error ? errorOf(batch.error).message : undefined,
    more: batch.more ?? 0,
  };
  feed.stale = true;
  changed.add(feed);
  schedule();
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(announce);
}

/** Tells of all changes since the last frame at once; of each piece of a long list, that would draw all before it anew. */
function announce(now: number): void {
  scheduled = false;
  for (const feed of [...changed]) {
    if (!feed.listing.ready && now - feed.drawn < PIECES) continue;
    changed.delete(feed);
    feed.drawn = now;
    for (const listener of feed.listeners) listener();
  }
  if (changed.size > 0) {
    scheduled = true;
    setTimeout(() => requestAnimationFrame(announce), PIECES / 4);
  }
}

function current(feed: Feed): Listing<unknown> {
  if (feed.stale) {
    feed.listing = { ...feed.listing, items: [...feed.items.values()] };
    feed.stale = false;
  }
  return feed.listing;
}

function feedOf(key: string): Feed {
  const known = feeds.get(key);
  if (known !== undefined) return known;
  lastId += 1;
  const feed: Feed = {
    id: String(lastId),
    topic: JSON.parse(key) as Topic,
    items: new Map(),
    listing: EMPTY,
    stale: false,
    drawn: -PIECES,
    listeners: new Set(),
  };
  feeds.set(key, feed);
  open();
  subscribe(feed);
  return feed;
}

/** Follows a topic until the returned function is called. */
export function follow(topic: Topic, onChange: (listing: Listing<unknown>) => void): () => void {
  const key = JSON.stringify(topic);
  const feed = feedOf(key);
  clearTimeout(feed.parting);
  const listener = () => onChange(current(feed));
  feed.listeners.add(listener);
  if (feed.listing !== EMPTY) listener();
  return () => {
    feed.listeners.delete(listener);
    if (feed.listeners.size > 0) return;
    feed.parting = setTimeout(() => {
      if (feed.listeners.size > 0 || feeds.get(key) !== feed) return;
      feeds.delete(key);
      say({ unsubscribe: feed.id });
    }, LINGER);
  };
}

/** The list of a topic, for a component that is drawn anew with each change; none for `null`. */
export function useLive<T = KubeObject>(topic: Topic | null): Listing<T> {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const key = topic === null ? "" : JSON.stringify(topic);
  useEffect(() => (key === "" ? undefined : follow(JSON.parse(key) as Topic, () => redraw(0))), [key]);
  const feed = feeds.get(key);
  return (feed === undefined ? EMPTY : current(feed)) as Listing<T>;
}

/** Whether changes arrive; drawn anew when that changes. */
export function useConnected(): boolean {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const watcher = () => redraw(0);
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }, []);
  return connected ?? true;
}
