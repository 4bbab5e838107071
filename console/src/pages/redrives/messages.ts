import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Redrives",
  },
  {
    title: "批量重投",
  },
);
