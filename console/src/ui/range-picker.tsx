import { SegmentedControl } from "@mantine/core";
import { RANGES, type Range } from "@/app/search";
import { useMessages } from "@/i18n/language";
import { messages } from "./messages";

/** Chooses how far back figures reach. */
export function RangePicker({ value, onChange }: { value: Range; onChange: (range: Range) => void }) {
  const t = useMessages(messages);
  return (
    <SegmentedControl
      aria-label={t.range}
      value={value}
      onChange={(chosen) => onChange(chosen as Range)}
      data={RANGES.map((range) => ({ value: range, label: range }))}
    />
  );
}

export const RANGE_SECONDS: Record<Range, number> = { "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800 };
