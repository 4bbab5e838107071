import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Scene",
  },
  {
    title: "场景",
  },
);
