import { defineMessages } from "@/i18n/language";

export const messages = defineMessages(
  {
    takes: "Takes reports",
    refuses: "Refuses reports",
    paused: "Paused",
    name: "Name",
    description: "Description",
    create: "Create",
  },
  {
    takes: "接收上报",
    refuses: "拒绝上报",
    paused: "已暂停",
    name: "名称",
    description: "说明",
    create: "创建",
  },
);
