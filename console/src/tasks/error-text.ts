/**
 * Write the message of errors that are alike as a person reads it, beside their class: what varies between them is left
 * open, and the status of an answer is known.
 */
export function alikeText({
  error_type,
  message,
}: {
  error_type: string | null;
  message: string | null;
}): string | null {
  const status = /^http\.(\d{3})$/.exec(error_type ?? "")?.[1];
  const told = status ? message?.replace("<n>", status) : message;
  return briefText(error_type, told?.replace(/<(?:n|value|url|email|uuid)>/g, "…"));
}

/** Write what an error says beyond its class: “the target answered 503” stands in `http.503` already. */
export function briefText(type: string | null | undefined, message: string | null | undefined): string | null {
  const status = /^http\.(\d{3})$/.exec(type ?? "")?.[1];
  const prefix = `the target answered ${status}: `;
  return (status && message?.startsWith(prefix) ? message.slice(prefix.length) : message) ?? null;
}
