/** Placeholder until its API is there. */
export function Retention() {
  return null;
}
