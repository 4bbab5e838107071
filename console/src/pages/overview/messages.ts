import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Overview",
  },
  {
    title: "概览",
  },
);
