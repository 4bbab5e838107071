export interface DiffLine {
  kind: "same" | "removed" | "added" | "skipped";
  text: string;
}

const CONTEXT = 2;
/** Beyond so many pairs of lines the middle is told as replaced: nobody reads a longer difference line by line. */
const MOST_PAIRS = 4_000_000;

/** What two texts do not have in common, line by line, with two lines around each place; empty when they are the same. */
export function diffLines(before: string, after: string): DiffLine[] {
  if (before === after) return [];
  const old = before.split("\n");
  const young = after.split("\n");
  let head = 0;
  while (head < Math.min(old.length, young.length) && old[head] === young[head]) head++;
  let tail = 0;
  while (tail < Math.min(old.length, young.length) - head && old.at(-1 - tail) === young.at(-1 - tail)) tail++;
  const same = (lines: readonly string[]) => lines.map((text): DiffLine => ({ kind: "same", text }));
  return folded([
    ...same(old.slice(0, head)),
    ...middle(old.slice(head, old.length - tail), young.slice(head, young.length - tail)),
    ...same(old.slice(old.length - tail)),
  ]);
}

/** The longest common subsequence decides what stays. */
function middle(old: readonly string[], young: readonly string[]): DiffLine[] {
  const removed = (text: string): DiffLine => ({ kind: "removed", text });
  const added = (text: string): DiffLine => ({ kind: "added", text });
  if (old.length * young.length > MOST_PAIRS) return [...old.map(removed), ...young.map(added)];
  const width = young.length + 1;
  const common = new Uint32Array((old.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i--)
    for (let j = young.length - 1; j >= 0; j--)
      common[i * width + j] = old[i] === young[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < young.length) {
    const [left, right] = [old[i], young[j]];
    if (left !== undefined && left === right) {
      lines.push({ kind: "same", text: left });
      i++;
      j++;
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(removed(left));
      i++;
    } else {
      lines.push(added(right ?? ""));
      j++;
    }
  }
  return lines;
}

/** Leave out what is the same and far from any difference. */
function folded(lines: readonly DiffLine[]): DiffLine[] {
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(({ kind }) => kind !== "same"),
  );
  return lines.flatMap((line, index) => {
    if (near[index]) return [line];
    return index > 0 && !near[index - 1] ? [] : [{ kind: "skipped", text: "⋯" }];
  });
}
