/** The difference of two texts, line by line. */

export interface Line {
  sign: " " | "+" | "-";
  text: string;
}

/** How many cells of the comparison's table are afforded; beyond that all of the middle counts as changed. */
const AFFORDED = 4_000_000;

export function diff(before: string, after: string): Line[] {
  const old = before === "" ? [] : before.split("\n");
  const fresh = after === "" ? [] : after.split("\n");
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let end = 0;
  while (
    end < old.length - start &&
    end < fresh.length - start &&
    old[old.length - 1 - end] === fresh[fresh.length - 1 - end]
  ) {
    end += 1;
  }
  const same = (text: string): Line => ({ sign: " ", text });
  return [
    ...old.slice(0, start).map(same),
    ...middle(old.slice(start, old.length - end), fresh.slice(start, fresh.length - end)),
    ...old.slice(old.length - end).map(same),
  ];
}

/** By the longest common subsequence. */
function middle(old: string[], fresh: string[]): Line[] {
  const removed = (text: string): Line => ({ sign: "-", text });
  const added = (text: string): Line => ({ sign: "+", text });
  if (old.length * fresh.length > AFFORDED) return [...old.map(removed), ...fresh.map(added)];
  const width = fresh.length + 1;
  const lengths = new Uint32Array((old.length + 1) * width);
  const at = (row: number, column: number) => lengths[row * width + column] ?? 0;
  for (let row = old.length - 1; row >= 0; row -= 1) {
    for (let column = fresh.length - 1; column >= 0; column -= 1) {
      lengths[row * width + column] =
        old[row] === fresh[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: Line[] = [];
  let row = 0;
  let column = 0;
  while (row < old.length || column < fresh.length) {
    const [was, is] = [old[row], fresh[column]];
    if (was !== undefined && was === is) {
      lines.push({ sign: " ", text: was });
      row += 1;
      column += 1;
    } else if (was !== undefined && (is === undefined || at(row + 1, column) >= at(row, column + 1))) {
      lines.push(removed(was));
      row += 1;
    } else if (is !== undefined) {
      lines.push(added(is));
      column += 1;
    }
  }
  return lines;
}

/** The lines near a change; the others are replaced by how many they are. */
export function fold(lines: Line[], around = 3): (Line | { hidden: number })[] {
  const near = new Uint8Array(lines.length);
  for (const [index, line] of lines.entries()) {
    if (line.sign === " ") continue;
    near.fill(1, Math.max(0, index - around), index + around + 1);
  }
  const folded: (Line | { hidden: number })[] = [];
  let hidden = 0;
  for (const [index, line] of lines.entries()) {
    if (near[index] === 0) {
      hidden += 1;
      continue;
    }
    if (hidden > 0) folded.push({ hidden });
    hidden = 0;
    folded.push(line);
  }
  if (hidden > 0) folded.push({ hidden });
  return folded;
}
