import { IconMapQuestion } from "@tabler/icons-react";
import { QueryClientProvider } from "@tanstack/react-query";
import { type ErrorComponentProps, Link, Outlet, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { queryClientOf } from "@/api/client";
import { useLanguage, useMessages } from "@/i18n/language";
import { Page } from "@/ui/page";
import { Empty, Failed } from "@/ui/states";
import { useKept } from "./kept";
import { KeyScreen } from "./key-screen";
import { messages } from "./messages";
import { keyWanted } from "./session";
import { Shell } from "./shell";

/** Everything that all pages share: whose data it is, and the frame around them. */
export function RootPage() {
  const shown = useSearch({ from: "__root__" }).namespace ?? "default";
  const spoken = useLanguage();
  useEffect(() => {
    document.documentElement.lang = spoken === "zh" ? "zh-CN" : "en";
  }, [spoken]);
  const wanted = useKept(keyWanted);
  if (wanted) return <KeyScreen refused={wanted.refused} />;
  return (
    <QueryClientProvider key={shown} client={queryClientOf(shown)}>
      <Shell>
        <Outlet />
      </Shell>
    </QueryClientProvider>
  );
}

export function NotFoundPage() {
  const t = useMessages(messages);
  return (
    <Page title={t.notFound}>
      <Empty
        icon={IconMapQuestion}
        title={t.notFound}
        hint={t.notFoundHint}
        action={<Link to="/">{t.toOverview}</Link>}
      />
    </Page>
  );
}

export function ErrorPage({ error, reset }: ErrorComponentProps) {
  const t = useMessages(messages);
  return (
    <Page title={t.broken}>
      <Failed error={error} onRetry={reset} />
    </Page>
  );
}
