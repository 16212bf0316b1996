/** Every kind that the cluster serves, custom ones too. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { wordsOf } from "../cluster/api";
import { discover } from "../cluster/discovery";
import { groupVersion, type Kind } from "../cluster/kinds";
import type { Route } from "../logic/route";
import { Empty, Failure, Heading } from "../parts/basics";
import { type Column, Table } from "../parts/table";
import { KindTable } from "./kindtable";

function link(kind: Kind): string {
  return `#/resources/${kind.group === "" ? "core" : kind.group}/${kind.plural}`;
}

/** A group of Kubernetes' own has no dot in it, or ends so. */
function isCustom(kind: Kind): boolean {
  return kind.group.includes(".") && !kind.group.endsWith(".k8s.io");
}

const COLUMNS: Column<Kind>[] = [
  { name: "Kind", grow: 2, cell: (kind) => kind.kind, sort: (kind) => kind.kind },
  { name: "Group and version", grow: 2, cell: groupVersion, sort: groupVersion },
  { name: "Resource", grow: 1.5, minor: true, cell: (kind) => kind.plural, sort: (kind) => kind.plural },
  { name: "Custom", grow: 0.7, cell: (kind) => (isCustom(kind) ? "yes" : ""), sort: (kind) => (isCustom(kind) ? 0 : 1) },
  { name: "Namespaced", grow: 0.8, minor: true, cell: (kind) => (kind.namespaced ? "yes" : "no"), sort: (kind) => String(kind.namespaced) },
];

export function Resources({ route }: { route: Route }) {
  const [kinds, setKinds] = useState<Kind[] | undefined>();
  const [error, setError] = useState<string | undefined>();
  const [group = "", plural = ""] = route.parts;
  useEffect(() => {
    discover().then(setKinds, (failure: unknown) => setError(wordsOf(failure)));
  }, [group, plural]);
  const kind = useMemo(
    () => kinds?.find((each) => each.plural === plural && each.group === (group === "core" ? "" : group)),
    [kinds, group, plural],
  );
  const sorted = useMemo(() => [...(kinds ?? [])].sort((one, other) => Number(isCustom(other)) - Number(isCustom(one))), [kinds]);
  if (plural !== "") {
    return (
      <>
        <Heading title={kind?.kind ?? plural} kind={group === "core" ? "v1" : group} />
        {error !== undefined && <Failure>{error}</Failure>}
        {kind !== undefined ? <KindTable kind={kind} /> : <Empty>{kinds === undefined ? "Loading…" : "The cluster does not serve this kind."}</Empty>}
      </>
    );
  }
  return (
    <>
      <Heading title="Resources" />
      {error !== undefined && <Failure>{error}</Failure>}
      {kinds === undefined ? (
        error === undefined && <Empty>Loading…</Empty>
      ) : (
        <Table
          label="Kinds"
          rows={sorted}
          columns={COLUMNS}
          keyOf={link}
          linkOf={link}
          textOf={(each) => `${each.kind} ${groupVersion(each)} ${each.plural} ${isCustom(each) ? "custom" : ""}`}
        />
      )}
    </>
  );
}
