import type { Schema } from "@/api/client";
import type { messages } from "../messages";

export type Channel = Schema<"AlertChannelResource">;
export type Kind = Channel["kind"];
type Words = (typeof messages)["en"];

export interface ChannelField {
  /** Its name in the settings. */
  name: keyof Words["field"];
  type: "text" | "number" | "secret" | "list" | "choice" | "headers";
  optional?: boolean;
  /** What it begins with. */
  initial?: string | number;
  choices?: readonly (keyof Words["choice"])[];
  placeholder?: string;
  hint?: keyof Words["hint"];
  /** It means something only while this other field is filled. */
  with?: string;
  /** A good one can be made here. */
  make?: () => string;
}

const mentions = (hint: keyof Words["hint"]): ChannelField => ({
  name: "mentions",
  type: "list",
  optional: true,
  hint,
});
const bot = (placeholder: string): ChannelField => ({ name: "url", type: "secret", placeholder, hint: "botUrl" });
const FEISHU: readonly ChannelField[] = [
  { name: "secret", type: "secret", optional: true, hint: "feishuSecret" },
  mentions("feishuMentions"),
];

/** What each kind of channel needs to know (`core/redrive/core/channels.py`), in the order in which one is asked. */
export const FIELDS: Readonly<Record<Kind, readonly ChannelField[]>> = {
  email: [
    { name: "to", type: "list", placeholder: "ops@example.com", hint: "to" },
    { name: "sender", type: "text", placeholder: "redrive@example.com" },
    { name: "host", type: "text", placeholder: "smtp.example.com" },
    { name: "port", type: "number", initial: 587 },
    { name: "security", type: "choice", initial: "starttls", choices: ["starttls", "tls", "none"], hint: "security" },
    { name: "username", type: "text", optional: true },
    { name: "password", type: "secret", with: "username" },
  ],
  dingtalk: [
    bot("https://oapi.dingtalk.com/robot/send?access_token=…"),
    { name: "secret", type: "secret", optional: true, placeholder: "SEC…", hint: "dingtalkSecret" },
    mentions("phoneMentions"),
  ],
  wecom: [bot("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…"), mentions("phoneMentions")],
  feishu: [bot("https://open.feishu.cn/open-apis/bot/v2/hook/…"), ...FEISHU],
  lark: [bot("https://open.larksuite.com/open-apis/bot/v2/hook/…"), ...FEISHU],
  slack: [bot("https://hooks.slack.com/services/T…/B…/…"), mentions("slackMentions")],
  teams: [bot("https://….logic.azure.com/workflows/…"), mentions("teamsMentions")],
  pagerduty: [
    { name: "routing_key", type: "secret", hint: "routingKey" },
    { name: "severity", type: "choice", initial: "error", choices: ["critical", "error", "warning", "info"] },
    { name: "url", type: "text", initial: "https://events.pagerduty.com/v2/enqueue", hint: "pagerdutyUrl" },
  ],
  webhook: [
    { name: "url", type: "text", placeholder: "https://alerts.example.com/redrive", hint: "webhookUrl" },
    { name: "secret", type: "secret", placeholder: "whsec_…", hint: "webhookSecret", make: makeSecret },
    { name: "headers", type: "headers", optional: true, placeholder: "X-Token: …", hint: "headers" },
  ],
};

export const KINDS = Object.keys(FIELDS) as Kind[];

function makeSecret(): string {
  return `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))}`;
}

/** What a person has typed: texts, numbers and lists by the names of fields; `null` takes a stored secret away. */
export type Typed = Readonly<Record<string, string | number | readonly string[] | null>>;

/** What the form begins with. Secrets stay empty: they are stored, and nobody is shown them. */
export function typedOf(kind: Kind, settings: Channel["settings"] | undefined): Typed {
  return Object.fromEntries(
    FIELDS[kind].map(({ name, type, initial }) => {
      const value = settings?.[name];
      if (type === "secret") return [name, ""];
      if (type === "list") return [name, (value as string[] | undefined) ?? []];
      if (type === "headers")
        return [
          name,
          Object.entries((value as Record<string, string> | undefined) ?? {})
            .map((header) => header.join(": "))
            .join("\n"),
        ];
      return [name, (value as string | number | undefined) ?? initial ?? ""];
    }),
  );
}

export function isShown(field: ChannelField, typed: Typed): boolean {
  return field.with === undefined || Boolean(typed[field.with]);
}

/** The settings as the API takes them. What is left out keeps its default or, if it is secret, what is stored. */
export function settingsOf(kind: Kind, typed: Typed): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const field of FIELDS[kind]) {
    const value = isShown(field, typed) ? typed[field.name] : null;
    if (field.type === "headers") settings[field.name] = readHeaders(String(value ?? ""));
    else if (value === null) settings[field.name] = null;
    else if (typeof value === "string" ? value.trim() : value !== undefined)
      settings[field.name] = typeof value === "string" ? value.trim() : value;
  }
  return settings;
}

function readHeaders(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line.trim());
  return Object.fromEntries(
    lines.map((line) => {
      const [name = "", ...rest] = line.split(":");
      return [name.trim(), rest.join(":").trim()];
    }),
  );
}

/** Where a channel leads, in a few words. */
export function destination({ kind, settings }: Channel): string {
  if (kind === "email") return (settings.to as string[]).join(", ");
  return String(settings.url)
    .replace(/^https?:\/\//, "")
    .replace(/\/••••$/, "");
}
