import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Dead letters",
  },
  {
    title: "死信",
  },
);
