import { IconCircleCheck, IconHandStop, IconPlugConnectedX, IconZoomQuestion } from "@tabler/icons-react";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { Badge } from "@/ui/status-badge";
import { messages } from "../messages";

export type Breaker = Schema<"BreakerResource">;

/** Where a breaker stands, and whether a person holds it there. */
export function BreakerBadge({ of: { state, override } }: { of: Breaker }) {
  const t = useMessages(messages);
  if (override) {
    const open = override.position === "open";
    return (
      <Badge tone={open ? "bad" : "warn"} icon={IconHandStop}>
        {open ? t.heldOpen : t.heldClosed}
      </Badge>
    );
  }
  switch (state) {
    case "open":
      return (
        <Badge tone="bad" icon={IconPlugConnectedX}>
          {t.open}
        </Badge>
      );
    case "half_open":
      return (
        <Badge tone="warn" icon={IconZoomQuestion}>
          {t.half_open}
        </Badge>
      );
    default:
      return (
        <Badge tone="good" icon={IconCircleCheck}>
          {t.closed}
        </Badge>
      );
  }
}
