import { useMessages } from "@/i18n/language";
import { Page } from "@/ui/page";
import { messages } from "./messages";

export default function RedrivesPage() {
  const t = useMessages(messages);
  return <Page title={t.title} />;
}
