/** What all processes do, step by step, as it happens; or what they do for one object. */

import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { ApiError, stream, wordsOf } from "../cluster/api";
import { KINDS, linkTo } from "../cluster/kinds";
import { useScope } from "../cluster/session";
import type { Route } from "../logic/route";
import { detailsOf, MOST_STEPS, objectOf, type Step, StepReader, took } from "../logic/steps";
import { Badge, Failure, Heading, type Tone } from "../parts/basics";
import { type Column, Table } from "../parts/table";

interface Row extends Step {
  number: number;
}

const PATH = "/debug/hardway/steps";

function useSteps(uid: string, on: boolean): { rows: Row[]; error?: string; lost: number } {
  const kept = useRef<{ rows: Row[]; last: number }>({ rows: [], last: 0 });
  const [version, redraw] = useReducer((count: number) => count + 1, 0);
  const [error, setError] = useState<string | undefined>();
  const [lost, setLost] = useState(0);
  useEffect(() => {
    if (!on) return;
    const stop = new AbortController();
    const reader = new StepReader();
    kept.current = { rows: [], last: 0 };
    setLost(0);
    let waiting = 0;
    const query: Record<string, string> = { watch: "true", ...(uid === "" ? {} : { uid }) };
    const onText = (text: string) => {
      const read = reader.read(text);
      const { rows, last } = kept.current;
      const fresh = read.steps.map((step, index) => ({ ...step, number: last + index }));
      kept.current = { rows: [...rows, ...fresh].slice(-MOST_STEPS), last: last + fresh.length };
      if (read.lost > 0) setLost((before) => before + read.lost);
      waiting ||= requestAnimationFrame(() => {
        waiting = 0;
        redraw(0);
      });
    };
    stream(PATH, query, stop.signal, onText).then(
      () => setError("The feed has ended."),
      (failure: unknown) => {
        if (stop.signal.aborted) return;
        const absent = failure instanceof ApiError && failure.code === 404;
        setError(absent ? "This API server notes no steps: it is not hardway's." : wordsOf(failure));
      },
    );
    return () => {
      stop.abort();
      cancelAnimationFrame(waiting);
    };
  }, [uid, on]);
  const rows = useMemo(() => kept.current.rows, [version]);
  return { rows, error, lost };
}

const TONES: Record<string, Tone> = { apiserver: "good", scheduler: "busy", kubelet: "busy" };

/** A link to the object, where there is a view of it. */
function hrefOf({ resource, namespace, name }: Step): string | undefined {
  const [plural, ...group] = (resource ?? "").split(".");
  const kind = KINDS.find((known) => known.plural === plural && known.group === group.join("."));
  return kind === undefined || !name ? undefined : linkTo(kind, namespace, name);
}

const COLUMNS: Column<Row>[] = [
  {
    name: "Time",
    grow: 1,
    cell: (row) => <time dateTime={row.time}>{row.time.slice(11, 23)}</time>,
    // The latest first.
    sort: (row) => -row.number,
  },
  {
    name: "Process",
    grow: 1.6,
    cell: (row) => (
      <Badge tone={TONES[row.process] ?? "quiet"}>
        {row.process}
        {row.host !== undefined && <small>{row.host}</small>}
      </Badge>
    ),
    sort: (row) => row.process,
  },
  { name: "Step", grow: 1, cell: (row) => row.what, sort: (row) => row.what },
  {
    name: "Object",
    grow: 2.2,
    minor: true,
    cell: (row) => {
      const href = hrefOf(row);
      return href === undefined ? objectOf(row) : <a href={href}>{objectOf(row)}</a>;
    },
    sort: objectOf,
  },
  { name: "Took", grow: 0.7, cell: (row) => (row.seconds === undefined ? "" : took(row.seconds)), sort: (row) => -(row.seconds ?? 0) },
  { name: "Details", grow: 3, minor: true, cell: (row) => <span title={detailsOf(row)}>{detailsOf(row)}</span> },
];

export function Follow({ route }: { route: Route }) {
  const { namespace } = useScope();
  const [on, setOn] = useState(true);
  const { uid = "", name } = route.query;
  const { rows, error, lost } = useSteps(uid, on);
  const shown = useMemo(
    () => (uid !== "" || namespace === "" ? rows : rows.filter((row) => row.namespace === namespace)),
    [rows, uid, namespace],
  );
  return (
    <>
      <Heading title={name === undefined ? "Follow" : `Follow ${name}`}>
        <button type="button" onClick={() => setOn(!on)}>
          {on ? "Stop" : "Go on"}
        </button>
      </Heading>
      <p class="note lead">
        What every process of the cluster does, from the request at the API server's door to the packet filter on the
        nodes. Change something in another window, and watch.
      </p>
      {error !== undefined && <Failure>{error}</Failure>}
      {lost > 0 && <p class="note">{`${lost} steps came faster than they could be shown`}</p>}
      <Table
        label="Steps"
        rows={shown}
        columns={COLUMNS}
        keyOf={(row) => String(row.number)}
        textOf={(row) => `${row.process} ${row.host ?? ""} ${row.what} ${objectOf(row)} ${row.namespace ?? ""} ${row.auditID ?? ""} ${detailsOf(row)}`}
        empty="Nothing has happened yet."
      />
    </>
  );
}
