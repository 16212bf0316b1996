/** The difference of two texts. */

import { diff, fold } from "../logic/diff";

export function DiffView({ before, after }: { before: string; after: string }) {
  const lines = diff(before, after);
  if (lines.every((line) => line.sign === " ")) return <p class="empty">Nothing would change.</p>;
  return (
    <pre class="diff" tabIndex={0} aria-label="Changes">
      {fold(lines).map((line, index) =>
        "hidden" in line ? (
          <div key={index} class="hidden-lines">{`⋯ ${line.hidden} lines as they were`}</div>
        ) : (
          <div key={index} class={line.sign === "+" ? "added" : line.sign === "-" ? "removed" : undefined}>
            {`${line.sign} ${line.text}`}
          </div>
        ),
      )}
    </pre>
  );
}
