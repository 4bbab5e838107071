/** What is wrong with which place of the request, as the server said it. */
export class Faults {
  constructor(private readonly errors: readonly { field: string; message: string }[]) {}

  at(path: string): string | undefined {
    return this.errors.find(({ field }) => field === path)?.message;
  }

  /** What is wrong below a place, by the rest of the path; what is wrong with the place itself goes by ``. */
  below(path: string): Readonly<Record<string, string>> {
    const inside = this.errors.flatMap(({ field, message }) => {
      if (field === path) return [["", message]] as const;
      return field.startsWith(`${path}.`) || field.startsWith(`${path}[`)
        ? ([[field.slice(path.length).replace(/^\./, ""), message]] as const)
        : [];
    });
    return Object.fromEntries(inside);
  }

  /** All of a place and what is below it, in one line, except for places that tell it themselves. */
  rest(path: string, shown: readonly string[] = []): string | undefined {
    const left = Object.entries(this.below(path)).filter(([field]) => !shown.includes(field));
    return left.map(([field, message]) => [field, message].filter(Boolean).join(": ")).join("; ") || undefined;
  }
}
