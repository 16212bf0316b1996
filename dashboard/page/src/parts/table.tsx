/** A table of many rows, of which only those in sight are drawn. */

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { keeps } from "../logic/search";
import { memo } from "./memo";

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  /** What rows are sorted by; columns without it can't be. */
  sort?: (row: T) => string | number;
  /** Share of the width; the default is 1. */
  grow?: number;
  /** Left out where there is little room. */
  minor?: boolean;
}

interface Props<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  keyOf: (row: T) => string;
  linkOf?: (row: T) => string | undefined;
  /** What the filter looks through; without it there is no filter. */
  textOf?: (row: T) => string;
  empty?: string;
  /** Beside the filter. */
  children?: ComponentChildren;
}

/** Pixels; app.css has the same. */
const ROW = 36;
/** Rows drawn beyond what is in sight, above and below. */
const MORE = 8;

export function Table<T>({ label, rows, columns, keyOf, linkOf, textOf, empty = "There are none.", children }: Props<T>) {
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState<{ column: string; down: boolean } | undefined>();
  const shown = useMemo(() => {
    const kept = textOf === undefined || filter.trim() === "" ? rows : rows.filter((row) => keeps(filter.trim(), textOf(row)));
    const by = columns.find((column) => column.name === order?.column)?.sort ?? columns[0]?.sort;
    if (by === undefined) return kept;
    const sign = order?.down ? -1 : 1;
    return kept
      .map((row) => ({ row, key: by(row) }))
      .sort((one, other) => sign * compare(one.key, other.key))
      .map((entry) => entry.row);
  }, [rows, filter, order, columns, textOf]);
  const body = useRef<HTMLDivElement>(null);
  const [from, to] = useWindow(body, shown.length);
  const template = useMemo(() => columns.map((column) => `minmax(0, ${column.grow ?? 1}fr)`).join(" "), [columns]);
  const narrow = useMemo(
    () => columns.filter((column) => !column.minor).map((column) => `minmax(0, ${column.grow ?? 1}fr)`).join(" "),
    [columns],
  );
  const sortBy = (column: Column<T>) => {
    if (column.sort === undefined) return;
    setOrder((before) => ({ column: column.name, down: before?.column === column.name && !before.down }));
  };
  const sorted = (column: Column<T>) =>
    order?.column !== column.name ? undefined : order.down ? ("descending" as const) : ("ascending" as const);
  return (
    <div class="table-area">
      {(textOf !== undefined || children !== undefined) && (
        <div class="table-tools">
          {textOf !== undefined && (
            <input
              type="search"
              class="filter"
              placeholder="Filter"
              aria-label={`Filter ${label}`}
              value={filter}
              onInput={(event) => setFilter(event.currentTarget.value)}
            />
          )}
          <span class="amount" role="status">
            {shown.length === rows.length ? rows.length.toLocaleString("en") : `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`}
          </span>
          {children}
        </div>
      )}
      <div
        class="table"
        role="table"
        aria-label={label}
        aria-rowcount={shown.length + 1}
        ref={(element) => {
          element?.style.setProperty("--columns", template);
          element?.style.setProperty("--narrow-columns", narrow);
        }}
      >
        <div role="rowgroup" class="table-head">
          <div role="row" class="tr">
            {columns.map((column) => (
              <span key={column.name} role="columnheader" class={column.minor ? "minor" : undefined} aria-sort={sorted(column)}>
                {column.sort === undefined ? (
                  column.name
                ) : (
                  <button type="button" class="sort" onClick={() => sortBy(column)}>
                    {column.name}
                  </button>
                )}
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" class="table-body" ref={body} style={{ height: `${shown.length * ROW}px` }} onKeyDown={moveFocus}>
          {shown.slice(from, to).map((row, index) => (
            <Row key={keyOf(row)} row={row} columns={columns as Column<never>[]} index={from + index} href={linkOf?.(row)} />
          ))}
        </div>
      </div>
      {shown.length === 0 && <p class="empty">{rows.length === 0 ? empty : "Nothing matches the filter."}</p>}
    </div>
  );
}

interface RowProps {
  row: unknown;
  columns: Column<never>[];
  index: number;
  href?: string;
}

const Row = memo(({ row, columns, index, href }: RowProps) => {
  return (
    <div
      role="row"
      class={href === undefined ? "tr" : "tr link"}
      aria-rowindex={index + 2}
      style={{ transform: `translateY(${index * ROW}px)` }}
      onClick={(event) => {
        if (href !== undefined && !(event.target as Element).closest("a, button, input")) location.hash = href;
      }}
    >
      {columns.map((column, place) => (
        <span key={column.name} role="cell" class={column.minor ? "td minor" : "td"}>
          {place === 0 && href !== undefined ? <a href={href}>{column.cell(row as never)}</a> : column.cell(row as never)}
        </span>
      ))}
    </div>
  );
});

function compare(one: string | number, other: string | number): number {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one) < String(other) ? -1 : String(one) > String(other) ? 1 : 0;
}

/** Arrow keys (and j, k) go from row to row. */
function moveFocus(event: KeyboardEvent): void {
  const step = event.key === "ArrowDown" || event.key === "j" ? 1 : event.key === "ArrowUp" || event.key === "k" ? -1 : 0;
  const row = (event.target as Element).closest("[role=row]");
  if (step === 0 || row === null || (event.target as Element).matches("input, textarea")) return;
  const next = document.querySelector<HTMLElement>(
    `[role=row][aria-rowindex="${Number(row.getAttribute("aria-rowindex")) + step}"] a`,
  );
  if (next === null || !row.parentElement?.contains(next)) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

/** Which rows are in sight, or nearly. */
function useWindow(body: { current: HTMLElement | null }, rows: number): [number, number] {
  const [range, setRange] = useState<[number, number]>([0, 40]);
  useLayoutEffect(() => {
    let waiting = 0;
    const measure = () => {
      waiting = 0;
      const top = body.current?.getBoundingClientRect().top ?? 0;
      // In steps, so that not every scrolled pixel draws anew.
      const first = Math.max(0, Math.floor(-top / ROW / MORE) * MORE - MORE);
      const last = first + Math.ceil(innerHeight / ROW) + 3 * MORE;
      setRange((before) => (before[0] === first && before[1] === last ? before : [first, last]));
    };
    const later = () => {
      if (waiting === 0) waiting = requestAnimationFrame(measure);
    };
    measure();
    addEventListener("scroll", later, { passive: true, capture: true });
    addEventListener("resize", later);
    return () => {
      cancelAnimationFrame(waiting);
      removeEventListener("scroll", later, { capture: true });
      removeEventListener("resize", later);
    };
  }, [rows === 0]);
  return [Math.min(range[0], Math.max(0, rows - 1)), Math.min(range[1], rows)];
}
