import type { components } from "./schema";

export type ProblemBody = components["schemas"]["Problem"];

/** What the API answered instead of a result (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    /** The status of the answer; 0 when there was none. */
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    /** What is wrong with which field of the request. */
    readonly errors: readonly { field: string; message: string }[] = [],
    readonly type = "about:blank",
  ) {
    super(detail || title);
  }

  /** Whether asking again may help. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** What is wrong by field, in the order told. An item of a list stands under the list's name as well. */
  get byField(): Readonly<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const { field, message } of this.errors) {
      for (const name of [field, field.replace(/\[\d+\].*$/, "")]) found[name] ??= message;
    }
    return found;
  }

  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    if (error instanceof Error) return new Problem(0, "No answer", error.message);
    return new Problem(0, "No answer", String(error));
  }
}

/** Read an answer that is not a result. */
export async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    const body = JSON.parse(text) as Partial<ProblemBody>;
    if (typeof body.title === "string") {
      const errors = (body.errors ?? []).map((error) => ({ field: error.field, message: error.message }));
      return new Problem(response.status, body.title, body.detail ?? "", errors, body.type);
    }
  } catch {
    // A proxy between here and the API answers with a page of its own.
  }
  return new Problem(response.status, response.statusText || `HTTP ${response.status}`, text.slice(0, 300));
}
