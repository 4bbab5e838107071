import { useLanguage, useMessages } from "@/i18n/language";
import { spellDuration } from "@/i18n/time";
import { messages } from "../messages";
import type { Rule } from "./rule-form";

/** What of a rule the sentences need; the threshold and the window are those in force. */
export type Said = Pick<
  Rule,
  | "event"
  | "groups"
  | "scenes"
  | "minimum"
  | "group_by"
  | "cool_down_seconds"
  | "repeat_seconds"
  | "rate_limit_per_hour"
  | "recovery"
> & { threshold: number; window: number; quiet: boolean };

/** Says in words when a rule fires, and what it does then. */
export function useSentences(): {
  condition: (rule: Said) => string;
  whole: (rule: Said, channels: readonly string[]) => string;
} {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const long = (seconds: number) => spellDuration(seconds, spoken);
  const condition = ({ event, threshold, window, minimum, groups, scenes }: Said) => {
    const shown = event === "failure_rate" ? Number((threshold * 100).toFixed(2)) : threshold;
    return t.condition[event](shown, window > 0 ? long(window) : "", minimum) + t.place(groups, scenes);
  };
  const whole = (rule: Said, channels: readonly string[]) =>
    [
      t.tells(
        channels,
        condition(rule),
        rule.group_by.map((one) => t.dimension[one]),
      ),
      rule.cool_down_seconds > 0 && t.notAgain(long(rule.cool_down_seconds)),
      rule.repeat_seconds !== null && t.again(long(rule.repeat_seconds)),
      rule.recovery && t.tellsEnd,
      rule.rate_limit_per_hour !== null && t.atMost(rule.rate_limit_per_hour),
      rule.quiet && t.quietPutsOff,
    ]
      .filter(Boolean)
      .join(spoken === "zh" ? "" : " ");
  return { condition, whole };
}
