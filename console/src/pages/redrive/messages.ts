import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Redrive",
  },
  {
    title: "批量重投",
  },
);
