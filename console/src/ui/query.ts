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
  return `${field}:${sign}${/^[^\s"]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`;
}

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

/** What could be written where the caret stands. */
export function complete(text: string, caret: number, fields: readonly Field[]): Completion[] {
  const begin = text.lastIndexOf(" ", caret - 1) + 1;
  const after = text.indexOf(" ", caret);
  const end = after < 0 ? text.length : after;
  const word = text.slice(begin, caret);
  const put = (replaced: string, space: boolean) => {
    const result = `${text.slice(0, begin)}${replaced}${space && !text.slice(end).startsWith(" ") ? " " : ""}${text.slice(end)}`;
    return { result, caret: begin + replaced.length + (space ? 1 : 0) };
  };
  const colon = word.indexOf(":");
  if (colon < 0) {
    return fields
      .filter(({ name }) => name.startsWith(word.toLowerCase()) && name !== word)
      .map(({ name, label, keyed }) => ({
        text: keyed ? `${name}.…:` : `${name}:`,
        label,
        ...put(keyed ? `${name}.` : `${name}:`, false),
      }));
  }
  const name = word.slice(0, colon);
  const field = fieldOf(name, fields);
  if (!field) return [];
  const written = word.slice(colon + 1);
  const comma = written.lastIndexOf(",");
  const kept = written.slice(0, comma + 1);
  const begun = written.slice(comma + 1).toLowerCase();
  const taken = kept.split(",");
  const known = field.kind === "time" ? ["<15m", "<1h", "<24h", ">1h", ">24h", ">7d"] : (field.values ?? []);
  return known
    .filter((value) => value.toLowerCase().includes(begun) && value.toLowerCase() !== begun && !taken.includes(value))
    .slice(0, 50)
    .map((value) => ({ text: value, ...put(`${name}:${kept}${/\s/.test(value) ? `"${value}"` : value}`, true) }));
}
