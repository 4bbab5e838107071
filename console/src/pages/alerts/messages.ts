import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Alerts",
  },
  {
    title: "告警",
  },
);
