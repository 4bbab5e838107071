import { keep, useKept } from "@/app/kept";

export type Language = "en" | "zh";

export const LANGUAGES: readonly { code: Language; name: string }[] = [
  { code: "en", name: "English" },
  { code: "zh", name: "中文" },
];

const preferred: Language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

/** What the console speaks; until a person chooses, what the browser does. */
export const language = keep<Language>(preferred, "redrive.language");

export function useLanguage(): Language {
  return useKept(language);
}

// biome-ignore lint/suspicious/noExplicitAny: any arguments of a message
type Message = string | ((...args: any[]) => string);
export type Dictionary = { readonly [key: string]: Message | Dictionary };

/** The shape of a dictionary: the same keys, the same arguments, any words. */
export type Words<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => string
    ? (...args: A) => string
    : T[K] extends string
      ? string
      : Words<T[K]>;
};

export type Messages<T> = Record<Language, Words<T>>;

/** Words of one page in both languages. A key without a translation does not compile. */
export function defineMessages<const T extends Dictionary>(en: T, zh: Words<T>): Messages<T> {
  return { en: en as unknown as Words<T>, zh };
}

export function useMessages<T>(messages: Messages<T>): Words<T> {
  return messages[useLanguage()];
}

/** `1 task`, `2 tasks`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count, "en")} ${count === 1 ? one : many}`;
}

export function formatNumber(value: number, spoken: Language = language.get()): string {
  return new Intl.NumberFormat(spoken, { maximumFractionDigits: value % 1 && Math.abs(value) < 100 ? 2 : 0 }).format(
    value,
  );
}

/** `12.4k`: for places where a long number would not be read. */
export function formatCompact(value: number, spoken: Language = language.get()): string {
  return value < 10_000
    ? formatNumber(value, spoken)
    : new Intl.NumberFormat(spoken, { notation: "compact", maximumFractionDigits: 1 }).format(value);
}
