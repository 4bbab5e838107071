import { IconPlayerPlay } from "@tabler/icons-react";
import { useMessages } from "@/i18n/language";
import { CodeBlock } from "@/ui/code";
import { CopyButton } from "@/ui/copy";
import { Panel } from "@/ui/page";
import { messages } from "../messages";
import classes from "./first-task.module.css";

const REPORT = {
  group: "orders",
  scene: "charge-card",
  target: { kind: "webhook", url: "http://127.0.0.1:9/charges" },
  kwargs: { order: "o-1", amount: 5 },
  policy: { max_attempts: 3, backoff: { kind: "fixed", delay_seconds: 2 } },
};

const PYTHON = `from redrive.sdk import Redrive

redrive = Redrive(group="orders")

@redrive.retryable(scene="charge-card")
def charge(order: str, amount: int) -> None:
    ...`;

/** What to do while there is nothing to see. */
export function FirstTask() {
  const t = useMessages(messages).first;
  const command = [
    `curl -X POST ${window.location.origin}/v1/tasks`,
    `-H 'Content-Type: application/json'`,
    `-d '${JSON.stringify(REPORT, null, 2)}'`,
  ].join(" \\\n  ");
  return (
    <Panel className={classes.first}>
      <span className={classes.icon}>
        <IconPlayerPlay size={22} stroke={1.7} aria-hidden />
      </span>
      <h2>{t.title}</h2>
      <p>{t.lead}</p>
      <div className={classes.code}>
        <CodeBlock label="curl">{command}</CodeBlock>
        <span className={classes.copy}>
          <CopyButton text={command} />
        </span>
      </div>
      <p>{t.more}</p>
      <CodeBlock label="Python">{PYTHON}</CodeBlock>
    </Panel>
  );
}
