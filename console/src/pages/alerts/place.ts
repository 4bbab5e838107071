const SHORT = 8;

/**
 * Where something fires, in one line: `orders / charge-card`. Of an error's fingerprint the beginning tells it apart.
 *
 * @param where What the rule groups by, and the values.
 */
export function place(where: Readonly<Record<string, string>>): string {
  return Object.entries(where)
    .map(([name, value]) => (name === "fingerprint" ? value.slice(0, SHORT) : value))
    .filter(Boolean)
    .join(" / ");
}
