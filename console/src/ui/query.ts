/** One term of a query bar: `scene:charge-card`, `created:>1h`, or free text. */
export interface Term {
  /** Undefined for free text. */
  field?: string;
  operator: "is" | "more" | "less";
  value: string;
  /** Where it stands in the text. */
  begin: number;
  end: number;
}

/** What can be written before a colon. */
export interface Field {
  name: string;
  /** What it is, for the list of completions. */
  label: string;
  kind: "text" | "word" | "time" | "number";
  /** The words that it knows; undefined for anything. Several may be given, apart by commas. */
  values?: readonly string[];
  /** Whether other values than those known are refused. */
  closed?: boolean;
  /** The name may be followed by a dot and a key: `meta.region:eu`. */
  keyed?: boolean;
  /** The bar asks for words that complete it: many are known, and new ones come. */
  asked?: boolean;
}

const TERM = /(?:([A-Za-z_][\w.-]*):)?(>|<)?(?:"((?:[^"\\]|\\.)*)"?|(\S+))|([A-Za-z_][\w.-]*):/g;

/** Split the text of a query bar into its terms. A word before a colon that is no field stays free text. */
export function parseTerms(text: string, fields: readonly Field[]): Term[] {
  return [...text.matchAll(TERM)].map((match) => {
    const [whole, field, sign, quoted, plain, alone] = match;
    const begin = match.index;
    const end = begin + whole.length;
    const name = field ?? alone;
    const value = quoted !== undefined ? quoted.replace(/\\(.)/g, "$1") : (plain ?? "");
    if (name === undefined || (!fieldOf(name, fields) && !/^[a-z_.-]+$/.test(name))) {
      return { operator: "is", value: quoted !== undefined ? value : whole, begin, end };
    }
    return { field: name, operator: sign === ">" ? "more" : sign === "<" ? "less" : "is", value, begin, end };
  });
}

export function fieldOf(name: string, fields: readonly Field[]): Field | undefined {
  return fields.find((field) => field.name === name || (field.keyed && name.startsWith(`${field.name}.`)));
}

/** Write a term as a person would type it. */
export function writeTerm(field: string, value: string, sign: "" | ">" | "<" = ""): string {
  return `${field}:${sign}${quotedIfNeeded(value)}`;
}

function quotedIfNeeded(value: string): string {
  return /^[^\s"]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}

const MOST_COMPLETIONS = 50;
const AGE = /^(\d+(?:\.\d+)?)(s|m|h|d|w)$/;
const AGE_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Read an age such as `90m` in seconds. */
export function parseAge(text: string): number | null {
  const match = AGE.exec(text);
  return match ? Number(match[1]) * (AGE_SECONDS[match[2] ?? ""] ?? Number.NaN) : null;
}

/** Read a date, or a date and a time, in the viewer's zone unless it names one. */
export function parseDate(text: string): Date | null {
  const date = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00` : text);
  return /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(date.getTime()) ? date : null;
}

export interface Completion {
  /** What stands in the list. */
  text: string;
  label?: string;
  /** The whole text after it was chosen, and where the caret goes. */
  result: string;
  caret: number;
}

/** What is being typed where the caret stands: a field's name, or a value of one. */
export interface Word {
  begin: number;
  end: number;
  /** From its beginning to the caret. */
  typed: string;
  /** The field whose value it is; undefined while its name is being typed. */
  field?: string;
  /** The part of the value that is to be completed. */
  begun: string;
}

/** Find the word at the caret. A space within quotation marks belongs to its word. */
export function wordAt(text: string, caret: number): Word {
  let begin = 0;
  let end = text.length;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"' && text[at - 1] !== "\\") quoted = !quoted;
    if (text[at] !== " " || quoted) continue;
    if (at < caret) begin = at + 1;
    else {
      end = at;
      break;
    }
  }
  const typed = text.slice(begin, caret);
  const colon = typed.indexOf(":");
  if (colon < 0) return { begin, end, typed, begun: typed };
  const value = typed.slice(colon + 1).replace(/^[<>]/, "");
  const begun = value.slice(value.lastIndexOf(",") + 1).replaceAll('"', "");
  return { begin, end, typed, field: typed.slice(0, colon), begun };
}

/**
 * What could be written where the caret stands.
 *
 * @param known Words that are known of what is being typed, besides those that the field lists.
 */
export function complete(
  text: string,
  caret: number,
  fields: readonly Field[],
  known: readonly string[] = [],
): Completion[] {
  const { begin, end, typed, field: name, begun } = wordAt(text, caret);
  const put = (replaced: string, space: boolean) => {
    const result = `${text.slice(0, begin)}${replaced}${space && !text.slice(end).startsWith(" ") ? " " : ""}${text.slice(end)}`;
    return { result, caret: begin + replaced.length + (space ? 1 : 0) };
  };
  const wanted = begun.toLowerCase();
  if (name === undefined) {
    const names = fields
      .filter(({ name: field }) => field.startsWith(wanted) && field !== typed)
      .map(({ name: field, label, keyed }) => ({
        text: keyed ? `${field}.…:` : `${field}:`,
        label,
        ...put(keyed ? `${field}.` : `${field}:`, false),
      }));
    const keys = known.map((key) => ({ text: `${key}:`, ...put(`${key}:`, false) }));
    return [...names, ...keys];
  }
  const field = fieldOf(name, fields);
  if (!field) return [];
  // `status:dead,pa`: what stands before the last comma stays.
  const kept = typed.slice(name.length + 1, Math.max(name.length + 1, typed.lastIndexOf(",") + 1));
  const taken = kept.split(",");
  const listed = field.kind === "time" ? ["<15m", "<1h", "<24h", ">1h", ">24h", ">7d"] : (field.values ?? []);
  return [...new Set([...listed, ...known])]
    .filter((value) => value.toLowerCase().includes(wanted) && value.toLowerCase() !== wanted && !taken.includes(value))
    .slice(0, MOST_COMPLETIONS)
    .map((value) => ({ text: value, ...put(`${name}:${kept}${quotedIfNeeded(value)}`, true) }));
}
