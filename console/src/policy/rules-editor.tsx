import { ActionIcon, Button, NativeSelect, TagsInput, TextInput } from "@mantine/core";
import { IconArrowDown, IconArrowUp, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import { DurationInput } from "@/ui/duration-input";
import { messages } from "./messages";
import { drop } from "./parts";
import { ACTIONS, CONDITIONS, type Rule, shownOf, WAITS, withAction, withCondition } from "./rules";
import classes from "./rules-editor.module.css";

/** What failures mean: rules in their order, of which the last that matches wins. */
export function RulesEditor({
  rules,
  refused,
  onChange,
}: {
  rules: readonly Rule[];
  /** What the server refuses, by place: `classification[0].http_status`. */
  refused: Readonly<Record<string, string>>;
  onChange: (rules: Rule[]) => void;
}) {
  const t = useMessages(messages);
  const move = (from: number, to: number) => onChange(rules.toSpliced(from, 1).toSpliced(to, 0, rules[from] as Rule));
  return (
    <div className={classes.rules}>
      <p className={classes.hint}>{t.rulesHint}</p>
      {rules.map((rule, index) => {
        const place = `classification[${index}]`;
        const tools = [
          { label: t.moveRuleUp, icon: IconArrowUp, off: index === 0, run: () => move(index, index - 1) },
          {
            label: t.moveRuleDown,
            icon: IconArrowDown,
            off: index === rules.length - 1,
            run: () => move(index, index + 1),
          },
          { label: t.removeRule, icon: IconTrash, off: false, run: () => onChange(rules.toSpliced(index, 1)) },
        ];
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: rules have no identity beside their places
          <div key={index} role="group" aria-label={t.rule(index + 1)} className={classes.rule}>
            <div className={classes.head}>
              <span>{t.rule(index + 1)}</span>
              {tools.map(({ label, icon: Icon, off, run }) => (
                <ActionIcon
                  key={label}
                  variant="subtle"
                  color="gray"
                  size="sm"
                  aria-label={label}
                  title={label}
                  disabled={off}
                  onClick={run}
                >
                  <Icon size={14} />
                </ActionIcon>
              ))}
            </div>
            <RuleFields
              rule={rule}
              wrong={(path) => refused[`${place}.${path}`]}
              onChange={(next) => onChange(rules.with(index, next))}
            />
            {refused[place] && <p className={classes.bad}>{refused[place]}</p>}
          </div>
        );
      })}
      <Button
        size="compact-xs"
        leftSection={<IconPlus size={12} />}
        onClick={() => onChange([...rules, { action: "retry" }])}
      >
        {t.addRule}
      </Button>
      {refused.classification && <p className={classes.bad}>{refused.classification}</p>}
    </div>
  );
}

function RuleFields({
  rule,
  wrong,
  onChange,
}: {
  rule: Rule;
  wrong: (path: string) => string | undefined;
  onChange: (rule: Rule) => void;
}) {
  const t = useMessages(messages);
  const action = String(rule.action);
  return (
    <div className={classes.conditions}>
      {CONDITIONS.map((condition) => {
        const { path, example } = condition;
        const shown = shownOf(rule, condition);
        const common = {
          label: t.conditions[path.replace(".", "_") as keyof typeof t.conditions],
          error: wrong(path),
          size: "xs",
        } as const;
        return typeof shown === "string" ? (
          <Typed
            key={path}
            {...common}
            placeholder={example}
            shown={shown}
            onType={(text) => {
              const next = withCondition(rule, condition, text);
              onChange(next);
              return shownOf(next, condition) as string;
            }}
          />
        ) : (
          <TagsInput
            key={path}
            {...common}
            placeholder={shown.length === 0 ? example : undefined}
            splitChars={[",", " "]}
            value={shown}
            onChange={(list) => onChange(withCondition(rule, condition, list))}
          />
        );
      })}
      <NativeSelect
        label={t.ruleAction}
        size="xs"
        value={action}
        error={wrong("action")}
        data={[...new Set([...ACTIONS, action])].map((one) => ({
          value: one,
          label: one in t.ruleActions ? t.ruleActions[one as keyof typeof t.ruleActions] : one,
        }))}
        onChange={(event) => onChange(withAction(rule, event.currentTarget.value))}
      />
      {WAITS.includes(action) && (
        <DurationInput
          label={action === "park" ? t.lookAgain : t.snoozeFor}
          value={typeof rule.seconds === "number" ? rule.seconds : null}
          error={wrong("seconds")}
          onChange={(seconds) => onChange(seconds === null ? drop(rule, "seconds") : { ...rule, seconds })}
        />
      )}
    </div>
  );
}

/** A text field that shows what was typed until the value becomes another one: `1.0` does not turn into `1` half-way. */
function Typed({
  shown,
  onType,
  ...field
}: {
  label: string;
  size: "xs";
  error: string | undefined;
  placeholder: string;
  shown: string;
  /** Takes a text, and tells how its value is shown. */
  onType: (text: string) => string;
}) {
  const [typed, setTyped] = useState({ of: shown, text: shown });
  return (
    <TextInput
      {...field}
      value={typed.of === shown ? typed.text : shown}
      onChange={(event) => {
        const text = event.currentTarget.value;
        setTyped({ of: onType(text), text });
      }}
    />
  );
}
