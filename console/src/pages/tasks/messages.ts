import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Tasks",
  },
  {
    title: "任务",
  },
);
