import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Group",
  },
  {
    title: "组",
  },
);
