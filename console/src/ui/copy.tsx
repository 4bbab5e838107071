import { ActionIcon, Button, Menu, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy, IconTerminal2 } from "@tabler/icons-react";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import { messages } from "./messages";

async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain HTTP on another host has no clipboard API.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function useCopy(): [boolean, (text: string) => void] {
  const [copied, setCopied] = useState(false);
  return [
    copied,
    (text) => {
      void copyText(text).then(() => {
        setCopied(true);
        setTimeout(() => setCopied(false), 1500);
      });
    },
  ];
}

/** Copies a text. */
export function CopyButton({ text, label }: { text: string; label?: string }) {
  const t = useMessages(messages);
  const [copied, copy] = useCopy();
  const name = copied ? t.copied : (label ?? t.copy);
  return (
    <Tooltip label={name}>
      <ActionIcon
        size="sm"
        variant="subtle"
        color={copied ? "marine" : "gray"}
        aria-label={name}
        onClick={(event) => {
          event.stopPropagation();
          copy(text);
        }}
      >
        {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
      </ActionIcon>
    </Tooltip>
  );
}

/** Copies what does the same from elsewhere: as a command, as a request. */
export function CopyAs({ choices }: { choices: readonly { label: string; text: () => string }[] }) {
  const t = useMessages(messages);
  const [copied, copy] = useCopy();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button leftSection={copied ? <IconCheck size={14} /> : <IconTerminal2 size={14} />}>
          {copied ? t.copied : t.copyAs}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {choices.map(({ label, text }) => (
          <Menu.Item key={label} onClick={() => copy(text())}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

/** Write a request as a curl command; the key is a shell variable, never the key itself. */
export function asCurl(method: string, path: string, body?: unknown): string {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const parts = [
    `curl -X ${method} ${quoted(`${window.location.origin}${path}`)}`,
    `-H "Authorization: Bearer $REDRIVE_API_KEY"`,
  ];
  if (body !== undefined) parts.push(`-H 'Content-Type: application/json'`, `-d ${quoted(JSON.stringify(body))}`);
  return parts.join(" \\\n  ");
}
