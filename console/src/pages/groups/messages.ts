import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Groups and scenes",
  },
  {
    title: "组与场景",
  },
);
