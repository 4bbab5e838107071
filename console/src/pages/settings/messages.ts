import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Settings",
  },
  {
    title: "设置",
  },
);
