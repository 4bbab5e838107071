import { IconBan, IconCheck, IconPlayerPause } from "@tabler/icons-react";
import { useMessages } from "@/i18n/language";
import { Badge } from "@/ui/status-badge";
import { messages } from "./messages";

/** Whether a group or scene takes reports, and whether something pauses it. */
export function IntakeBadge({ enabled, paused }: { enabled: boolean; paused: boolean }) {
  const t = useMessages(messages);
  if (paused) {
    return (
      <Badge tone="warn" icon={IconPlayerPause}>
        {t.paused}
      </Badge>
    );
  }
  return enabled ? (
    <Badge tone="good" icon={IconCheck}>
      {t.takes}
    </Badge>
  ) : (
    <Badge tone="quiet" icon={IconBan}>
      {t.refuses}
    </Badge>
  );
}
