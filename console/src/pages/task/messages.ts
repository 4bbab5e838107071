import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Task",
  },
  {
    title: "任务",
  },
);
