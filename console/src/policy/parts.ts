import type { Schema } from "@/api/client";

/** Parts of a policy as a document: what one layer says; everything else comes from the layers below it. */
export type Parts = Readonly<Record<string, unknown>>;

/** The parts as a request takes them. They are what a person typed: the server checks them, and says what is wrong. */
export function asRequest(parts: Parts): Schema<"Policy"> {
  return parts as unknown as Schema<"Policy">;
}

type Document = Record<string, unknown>;

function isDocument(value: unknown): value is Document {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value at a place such as `backoff.initial_seconds`; undefined when there is none. */
export function at(document: Parts, path: string): unknown {
  let value: unknown = document;
  for (const name of path.split(".")) {
    if (!isDocument(value)) return undefined;
    value = value[name];
  }
  return value;
}

/** Whether the parts say something of a place: what it is, or `null` for all that it is in. */
export function says(parts: Parts, path: string): boolean {
  const outer = path.replace(/\.\w+$/, "");
  return at(parts, path) !== undefined || (outer !== path && at(parts, outer) === null);
}

/** The same document with another value at a place. */
export function put(document: Parts, path: string, value: unknown): Parts {
  const [name = "", ...rest] = path.split(".");
  if (rest.length === 0) return { ...document, [name]: value };
  const inner = document[name];
  return { ...document, [name]: put(isDocument(inner) ? inner : {}, rest.join("."), value) };
}

/** The same document without a place, and without what is empty then. */
export function drop(document: Parts, path: string): Parts {
  const [name = "", ...rest] = path.split(".");
  const copy: Document = { ...document };
  const inner = copy[name];
  if (rest.length === 0 || !isDocument(inner)) {
    delete copy[name];
    return copy;
  }
  const left = drop(inner, rest.join("."));
  if (Object.keys(left).length === 0) delete copy[name];
  else copy[name] = left;
  return copy;
}

/** What the server merges field by field; everything else is replaced as a whole (docs/policies.md). */
const MERGED: readonly string[] = ["backoff", "retry_after", "poison", "breaker", "budget", "slow_start"];

/** The policy that results when a layer says these parts: as the server merges them. */
export function merged(below: Parts, parts: Parts): Parts {
  const result: Document = { ...below };
  for (const [name, value] of Object.entries(parts)) {
    const old = below[name];
    const sameKind = !isDocument(value) || !isDocument(old) || value.kind === undefined || value.kind === old.kind;
    result[name] =
      MERGED.includes(name) && isDocument(value) && isDocument(old) && sameKind ? { ...old, ...value } : value;
  }
  return result;
}
