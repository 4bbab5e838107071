import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    title: "Nodes",
  },
  {
    title: "节点",
  },
);
