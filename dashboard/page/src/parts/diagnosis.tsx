/** What is wrong with something, the evidence for it, and what would help. */

import { useState } from "preact/hooks";
import type { Diagnosis, Evidence, Subject } from "../cluster/diagnosis";
import { linkToReference } from "../cluster/kinds";
import { Age } from "./basics";

function nameOf({ kind, name }: Subject): string {
  return `${kind.toLowerCase()}/${name}`;
}

function SubjectLink({ of }: { of: Subject }) {
  const name = nameOf(of);
  const href = linkToReference(of);
  return href === undefined ? <b>{name}</b> : <a href={href}>{name}</a>;
}

function sourceOf({ source }: Evidence): string {
  return source.type === "comparison" ? "compared" : `${source.type} ${source.at}`;
}

export function DiagnosisCard({ of, open: openAtFirst = false }: { of: Diagnosis; open?: boolean }) {
  const [open, setOpen] = useState(openAtFirst);
  const place = of.subject.namespace === undefined ? "" : ` in ${of.subject.namespace}`;
  return (
    <details class={`diagnosis ${of.severity}`} open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span class="severity">{of.severity}</span>
        <span class="what">
          <b>{nameOf(of.subject)}</b>
          <small>{place}</small> {of.summary}
        </span>
        {of.since !== undefined && <Age of={of.since} />}
      </summary>
      {open && <Details of={of} />}
    </details>
  );
}

function Details({ of }: { of: Diagnosis }) {
  return (
    <>
      <ol class="evidence">
        {of.evidence.length === 0 && (
          <li>
            <SubjectLink of={of.subject} />
          </li>
        )}
        {of.evidence.map((evidence, index) => (
          <li key={index}>
            <SubjectLink of={evidence.object} /> <span class="source">{sourceOf(evidence)}</span>
            {evidence.source.type === "log" ? <pre tabIndex={0}>{evidence.says}</pre> : <p>{evidence.says}</p>}
          </li>
        ))}
      </ol>
      {of.remedies.length > 0 && (
        <div class="remedies">
          <h3>What would help</h3>
          <ul>
            {of.remedies.map((remedy) => (
              <li key={remedy.advice}>
                {remedy.advice}
                {remedy.command !== undefined && <code>{remedy.command}</code>}
              </li>
            ))}
          </ul>
        </div>
      )}
      {of.affected.length > 0 && (
        <p class="affected">
          Also affected:{" "}
          {of.affected.slice(0, 12).map((subject) => (
            <span key={`${subject.kind}/${subject.namespace}/${subject.name}`}>
              <SubjectLink of={subject} />{" "}
            </span>
          ))}
          {of.affected.length > 12 && `and ${of.affected.length - 12} more`}
        </p>
      )}
    </>
  );
}
