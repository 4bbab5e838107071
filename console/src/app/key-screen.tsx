import { Button, Checkbox } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { forgetAll } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { Code } from "@/ui/code";
import { SecretInput } from "@/ui/secret-input";
import classes from "./key-screen.module.css";
import { Logo } from "./logo";
import { messages } from "./messages";
import { signIn } from "./session";

/** Asks for the API key; shown in place of everything until the server accepts one. */
export function KeyScreen({ refused }: { refused: boolean }) {
  const t = useMessages(messages).key;
  const [key, setKey] = useState("");
  const [remember, setRemember] = useState(false);
  function submit(event: FormEvent) {
    event.preventDefault();
    forgetAll();
    signIn(key.trim(), remember);
  }
  return (
    <main className={classes.screen}>
      <form className={classes.card} onSubmit={submit}>
        <Logo size={36} />
        <h1>{t.title}</h1>
        <p>{t.lead}</p>
        <SecretInput
          label={t.label}
          value={key}
          onChange={(event) => setKey(event.currentTarget.value)}
          error={refused ? t.refused : undefined}
          autoComplete="current-password"
          data-autofocus
          required
          size="sm"
        />
        <Checkbox
          label={t.remember}
          checked={remember}
          onChange={(event) => setRemember(event.currentTarget.checked)}
        />
        <Button type="submit" variant="filled" size="sm" disabled={!key.trim()}>
          {t.submit}
        </Button>
        <p className={classes.hint}>
          {t.hint} <Code>redrive keys create</Code>
        </p>
      </form>
    </main>
  );
}
