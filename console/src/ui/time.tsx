import { useSyncExternalStore } from "react";
import { useLanguage, useMessages } from "@/i18n/language";
import { formatDuration, formatExact, formatMoment, formatRelative } from "@/i18n/time";
import { messages } from "./messages";

/** One clock for the page: thousands of times tick together. */
const clock = (() => {
  let now = Date.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  const listeners = new Set<() => void>();
  return {
    get: () => now,
    subscribe(listener: () => void) {
      listeners.add(listener);
      timer ??= setInterval(() => {
        now = Date.now();
        for (const heard of listeners) heard();
      }, 1000);
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
  };
})();

/**
 * The time in milliseconds, which makes the component render again as it passes.
 *
 * @param every How coarse it may be, in seconds.
 */
export function useNow(every = 1): number {
  const step = every * 1000;
  return useSyncExternalStore(clock.subscribe, () => Math.floor(clock.get() / step) * step);
}

/** An instant as people say it; hover tells it exactly, in the viewer's time zone. */
export function Time({ at, exact }: { at: string | null | undefined; exact?: boolean }) {
  const spoken = useLanguage();
  // Under an hour seconds or minutes pass; a day-old row need not render each second.
  const coarse = at ? Math.abs(Date.now() - Date.parse(at)) > 3_600_000 : true;
  const now = useNow(coarse ? 60 : 1);
  if (!at) return <span aria-hidden>–</span>;
  const date = new Date(at);
  return (
    <time dateTime={at} title={formatExact(date, spoken)}>
      {exact
        ? formatMoment(date, now, spoken)
        : formatRelative(date, Math.max(now, coarse ? now : clock.get()), spoken)}
    </time>
  );
}

/** How long something took, in seconds; `–` when it is not known. */
export function Duration({ seconds }: { seconds: number | null | undefined }) {
  const spoken = useLanguage();
  if (seconds === null || seconds === undefined) return <span aria-hidden>–</span>;
  return <span title={`${seconds} s`}>{formatDuration(seconds, spoken)}</span>;
}

/** How long it is until an instant, second by second. */
export function Countdown({ at }: { at: string }) {
  const spoken = useLanguage();
  const t = useMessages(messages);
  const left = (Date.parse(at) - useNow()) / 1000;
  const text =
    left > 1
      ? formatDuration(Math.round(left), spoken)
      : left > -5
        ? t.due
        : t.overdue(formatDuration(Math.round(-left), spoken));
  return (
    <time dateTime={at} title={formatExact(new Date(at), spoken)} role="timer">
      {text}
    </time>
  );
}
