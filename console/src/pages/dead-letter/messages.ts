import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Dead letter",
  },
  {
    title: "死信",
  },
);
