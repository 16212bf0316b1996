/** A container's log, followed, with search. */

import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { stream, wordsOf } from "../cluster/api";
import { kindOf, pathOf } from "../cluster/kinds";
import type { Pod } from "../cluster/objects";
import { LogLines, matching, parts } from "../logic/logs";
import { count } from "../logic/labels";
import { ContainerChoice, useContainer } from "../parts/containerchoice";
import { Failure } from "../parts/basics";

/** Pixels; app.css has the same. */
const LINE = 20;
/** How many lines there are at first. */
const TAIL = "2000";

interface Log {
  lines: LogLines;
  version: number;
  error?: string;
  ended: boolean;
}

function useLog(pod: Pod, container: string, previous: boolean, timestamps: boolean): Log {
  const log = useRef<LogLines>(new LogLines());
  const [version, redraw] = useReducer((count: number) => count + 1, 0);
  const [end, setEnd] = useState<{ error?: string; ended: boolean }>({ ended: false });
  const { name, namespace, uid } = pod.metadata;
  const runs = pod.status?.containerStatuses?.find((status) => status.name === container)?.restartCount ?? 0;
  useEffect(() => {
    const stop = new AbortController();
    const lines = new LogLines();
    log.current = lines;
    setEnd({ ended: false });
    redraw(0);
    let waiting = 0;
    const query: Record<string, string> = {
      container,
      tailLines: TAIL,
      ...(previous ? { previous: "true" } : { follow: "true" }),
      ...(timestamps ? { timestamps: "true" } : {}),
    };
    const onText = (text: string) => {
      lines.add(text);
      waiting ||= requestAnimationFrame(() => {
        waiting = 0;
        redraw(0);
      });
    };
    stream(pathOf(kindOf("pods"), namespace, name, "log"), query, stop.signal, onText).then(
      () => {
        lines.end();
        setEnd({ ended: true });
        redraw(0);
      },
      (error: unknown) => {
        if (!stop.signal.aborted) setEnd({ ended: true, error: wordsOf(error) });
      },
    );
    return () => {
      stop.abort();
      cancelAnimationFrame(waiting);
    };
    // A container that started anew has a new log.
  }, [uid, container, previous, timestamps, previous ? 0 : runs]);
  return { lines: log.current, version, ...end };
}

export function Logs({ pod, container: wanted }: { pod: Pod; container?: string }) {
  const [container, choose] = useContainer(pod, wanted);
  const [previous, setPrevious] = useState(false);
  const [timestamps, setTimestamps] = useState(false);
  const [search, setSearch] = useState("");
  const [only, setOnly] = useState(false);
  const [following, setFollowing] = useState(true);
  const [at, setAt] = useState(0);
  const log = useLog(pod, container, previous, timestamps);
  const hits = useMemo(() => matching(log.lines.lines, search), [log.version, search]);
  const shown = useMemo(
    () => (only && search !== "" ? hits.map((hit) => log.lines.lines[hit] ?? "") : log.lines.lines.slice()),
    [log.version, hits, only, search],
  );
  const view = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 60]);
  const measure = () => {
    const element = view.current;
    if (element === null) return;
    const first = Math.max(0, Math.floor(element.scrollTop / LINE) - 10);
    setRange([first, first + Math.ceil(element.clientHeight / LINE) + 20]);
  };
  useLayoutEffect(() => {
    if (following && view.current !== null) view.current.scrollTop = view.current.scrollHeight;
    measure();
  }, [shown, following]);
  const goTo = (step: number) => {
    if (hits.length === 0) return;
    const next = (at + step + hits.length) % hits.length;
    setAt(next);
    setFollowing(false);
    const line = only ? next : (hits[next] ?? 0);
    view.current?.scrollTo({ top: Math.max(0, line * LINE - (view.current.clientHeight ?? 0) / 2) });
  };
  const marked = only ? at : hits[at];
  return (
    <section class="logs">
      <div class="toolbar">
        <ContainerChoice pod={pod} current={container} onChoose={choose} />
        <label class="check">
          <input type="checkbox" checked={previous} onChange={(event) => setPrevious(event.currentTarget.checked)} />
          Previous run
        </label>
        <label class="check">
          <input type="checkbox" checked={timestamps} onChange={(event) => setTimestamps(event.currentTarget.checked)} />
          Times
        </label>
        <label class="check">
          <input type="checkbox" checked={following} onChange={(event) => setFollowing(event.currentTarget.checked)} />
          Follow
        </label>
        <input
          type="search"
          class="filter"
          placeholder="Search"
          aria-label="Search the log"
          value={search}
          onInput={(event) => {
            setSearch(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter") goTo(event.shiftKey ? -1 : 1);
          }}
        />
        {search !== "" && (
          <>
            <span class="amount" role="status">
              {hits.length === 0 ? "nothing found" : `${at + 1} of ${hits.length}`}
            </span>
            <button type="button" class="icon" aria-label="Previous match" onClick={() => goTo(-1)}>
              ↑
            </button>
            <button type="button" class="icon" aria-label="Next match" onClick={() => goTo(1)}>
              ↓
            </button>
            <label class="check">
              <input type="checkbox" checked={only} onChange={(event) => setOnly(event.currentTarget.checked)} />
              Only matches
            </label>
          </>
        )}
      </div>
      {log.error !== undefined && <Failure>{log.error}</Failure>}
      <div
        class="log-lines"
        ref={view}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={`Log of ${container}`}
        onScroll={() => {
          const element = view.current;
          if (element === null) return;
          const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 2 * LINE;
          if (following && !atEnd) setFollowing(false);
          measure();
        }}
      >
        <div style={{ height: `${shown.length * LINE}px` }}>
          {shown.slice(range[0], range[1]).map((line, index) => {
            const number = range[0] + index;
            return (
              <div
                key={number}
                class={number === marked && search !== "" ? "log-line current" : "log-line"}
                style={{ transform: `translateY(${number * LINE}px)` }}
              >
                {parts(line, search).map((part, place) => (place % 2 === 1 ? <mark key={place}>{part}</mark> : part))}
              </div>
            );
          })}
        </div>
      </div>
      <p class="note">
        {count(log.lines.lines.length, "line")}
        {log.lines.dropped > 0 && `, ${log.lines.dropped} older ones dropped`}
        {log.ended && log.error === undefined && "; the log has ended"}
      </p>
    </section>
  );
}
