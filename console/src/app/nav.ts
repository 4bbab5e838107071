import {
  IconActivityHeartbeat,
  IconBell,
  IconChecklist,
  IconMailOff,
  IconRefreshDot,
  IconServer2,
  IconSettings,
  IconSitemap,
  IconTargetArrow,
} from "@tabler/icons-react";

/** The pages of the sidebar. `g` and then the key leads to each; the first four are the tabs of a phone. */
export const NAV = [
  { id: "overview", to: "/", icon: IconActivityHeartbeat, key: "o", section: "observe" },
  { id: "tasks", to: "/tasks", icon: IconChecklist, key: "t", section: "observe" },
  { id: "deadLetters", to: "/dead-letters", icon: IconMailOff, key: "d", section: "recover" },
  { id: "redrives", to: "/redrives", icon: IconRefreshDot, key: "r", section: "recover" },
  { id: "groups", to: "/groups", icon: IconSitemap, key: "g", section: "configure" },
  { id: "targets", to: "/targets", icon: IconTargetArrow, key: "b", section: "configure" },
  { id: "nodes", to: "/nodes", icon: IconServer2, key: "n", section: "configure" },
  { id: "alerts", to: "/alerts", icon: IconBell, key: "a", section: "configure" },
  { id: "settings", to: "/settings", icon: IconSettings, key: "s", section: "configure" },
] as const;

export const SECTIONS = ["observe", "recover", "configure"] as const;
