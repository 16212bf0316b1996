/** The objects of any kind, in the columns that `kubectl get` prints. */

import { useMemo } from "preact/hooks";
import { type Kind, linkTo, pathOf } from "../cluster/kinds";
import { type ColumnDefinition, useLive } from "../cluster/live";
import type { KubeObject } from "../cluster/objects";
import { useScope } from "../cluster/session";
import { Age, ListState } from "../parts/basics";
import { type Column, Table } from "../parts/table";

interface Row {
  cells: unknown[];
  object: KubeObject;
}

/** The API server's columns; the age is computed here, so that it goes on. */
function columnsOf(kind: Kind, definitions: ColumnDefinition[], withNamespace: boolean): Column<Row>[] {
  const columns: Column<Row>[] = [];
  for (const [index, { name, priority, type }] of definitions.entries()) {
    if ((priority ?? 0) > 0) continue;
    if (name === "Age") {
      columns.push({
        name,
        grow: 0.6,
        cell: (row) => <Age of={row.object.metadata.creationTimestamp} />,
        sort: (row) => -Date.parse(row.object.metadata.creationTimestamp),
      });
      continue;
    }
    const numeric = type === "integer" || type === "number";
    columns.push({
      name,
      grow: index === 0 ? 2 : numeric ? 0.7 : 1.2,
      minor: index > 2,
      cell: (row) => textOf(row.cells[index]),
      sort: (row) => (numeric ? Number(row.cells[index] ?? 0) : textOf(row.cells[index])),
    });
  }
  if (kind.namespaced && withNamespace) {
    columns.splice(1, 0, {
      name: "Namespace",
      grow: 1.2,
      minor: true,
      cell: (row) => row.object.metadata.namespace,
      sort: (row) => row.object.metadata.namespace ?? "",
    });
  }
  return columns;
}

function textOf(cell: unknown): string {
  return cell === null || cell === undefined ? "" : typeof cell === "object" ? JSON.stringify(cell) : String(cell);
}

export function KindTable({ kind, label = kind.kind }: { kind: Kind; label?: string }) {
  const { namespace } = useScope();
  const listing = useLive<Row>({ path: pathOf(kind, namespace), as: "table" });
  const columns = useMemo(() => columnsOf(kind, listing.columns, namespace === ""), [kind, listing.columns, namespace]);
  return (
    <ListState listing={listing}>
      {columns.length > 0 && (
        <Table
          label={label}
          rows={listing.items}
          columns={columns}
          keyOf={(row) => row.object.metadata.uid}
          linkOf={(row) => linkTo(kind, row.object.metadata.namespace, row.object.metadata.name)}
          textOf={(row) => `${row.cells.map(textOf).join(" ")} ${row.object.metadata.namespace ?? ""}`}
        />
      )}
    </ListState>
  );
}
