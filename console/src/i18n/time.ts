import { type Language, language, plural } from "./language";

const SHORT: Record<Language, readonly [string, string, string, string, string]> = {
  en: ["ms", "s", "m", "h", "d"],
  zh: ["毫秒", "秒", "分", "小时", "天"],
};

/**
 * Write a duration in at most two units: `340 ms`, `12 s`, `3m 20s`, `2d 4h`.
 *
 * @param seconds How long.
 */
export function formatDuration(seconds: number, spoken: Language = language.get()): string {
  const [ms, s, m, h, d] = SHORT[spoken];
  const gap = spoken === "zh" ? "" : " ";
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size < 0.9995) return `${sign}${Math.round(size * 1000)}${gap}${ms}`;
  if (size < 10) return `${sign}${Number(size.toFixed(1))}${gap}${s}`;
  const whole = Math.round(size);
  if (whole < 60) return `${sign}${whole}${gap}${s}`;
  const two = (first: number, unit: string, second: number, lesser: string) =>
    `${sign}${first}${unit}${second ? `${gap}${second}${lesser}` : ""}`;
  if (whole < 3600) return two(Math.floor(whole / 60), m, whole % 60, s);
  if (whole < 86_400) return two(Math.floor(whole / 3600), h, Math.floor((whole % 3600) / 60), m);
  return two(Math.floor(whole / 86_400), d, Math.floor((whole % 86_400) / 3600), h);
}

const LONG: Record<Language, readonly [string, string, string, string]> = {
  en: ["second", "minute", "hour", "day"],
  zh: ["秒", "分钟", "小时", "天"],
};

/**
 * Write a duration for a sentence: `5 minutes`, `1 hour 30 minutes`.
 *
 * @param seconds How long.
 */
export function spellDuration(seconds: number, spoken: Language = language.get()): string {
  const whole = Math.round(seconds);
  const counts = [whole % 60, Math.floor(whole / 60) % 60, Math.floor(whole / 3600) % 24, Math.floor(whole / 86_400)];
  const said = counts.flatMap((count, unit) => {
    const name = LONG[spoken][unit];
    if (!count || !name) return [];
    return [spoken === "zh" ? `${count} ${name}` : plural(count, name)];
  });
  return said.reverse().join(" ");
}

const UNITS = [
  [86_400, 4],
  [3600, 3],
  [60, 2],
  [1, 1],
] as const;

/** Write how far an instant is from now in one unit: `3m ago`, `in 12s`. */
export function formatRelative(at: Date, now: number, spoken: Language = language.get()): string {
  const seconds = Math.round((at.getTime() - now) / 1000);
  const size = Math.abs(seconds);
  if (size < 1) return spoken === "zh" ? "刚刚" : "now";
  const [unit, name] = UNITS.find(([length]) => size >= length) ?? [1, 1];
  const amount = `${Math.floor(size / unit)}${SHORT[spoken][name]}`;
  if (spoken === "zh") return seconds < 0 ? `${amount}前` : `${amount}后`;
  return seconds < 0 ? `${amount} ago` : `in ${amount}`;
}

/** Write an instant in full, in the viewer's time zone, which is named. */
export function formatExact(at: Date, spoken: Language = language.get()): string {
  const text = new Intl.DateTimeFormat(spoken === "zh" ? "zh-CN" : "en-GB", {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
    hourCycle: "h23",
    timeZoneName: "short",
  });
  return text.format(at);
}

/** Write the time of day, down to the millisecond when it is asked for, and the date when it is not today. */
export function formatMoment(at: Date, now: number, spoken: Language = language.get(), fine = false): string {
  const sameDay = new Date(now).toDateString() === at.toDateString();
  return new Intl.DateTimeFormat(spoken === "zh" ? "zh-CN" : "en-GB", {
    ...(sameDay ? {} : { month: "short", day: "numeric" }),
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    ...(fine ? { fractionalSecondDigits: 3 } : {}),
    hourCycle: "h23",
  }).format(at);
}
