type Document = Readonly<Record<string, unknown>>;

function isDocument(value: unknown): value is Document {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Apply a JSON Merge Patch (RFC 7396), as the server does it to each payload. */
export function mergePatch(document: unknown, patch: unknown): unknown {
  if (!isDocument(patch)) return patch;
  const merged = new Map(Object.entries(isDocument(document) ? document : {}));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, mergePatch(merged.get(name), value));
  }
  return Object.fromEntries(merged);
}
