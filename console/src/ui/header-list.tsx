import { ActionIcon, Button, TextInput } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useMessages } from "@/i18n/language";
import classes from "./header-list.module.css";
import { messages } from "./messages";

/** Headers as they are typed: a name may be empty, or there twice. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

/** The headers of a request, without those that are still empty. */
export function headersOf(typed: HeaderPairs): Record<string, string> {
  return Object.fromEntries(typed.filter(([name, value]) => name || value));
}

/** Headers of a request, by name and value. */
export function HeaderList({ value, onChange }: { value: HeaderPairs; onChange: (value: HeaderPairs) => void }) {
  const t = useMessages(messages);
  return (
    <>
      {value.map(([name, content], index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: headers keep their places while they are typed
        <div key={index} className={classes.header}>
          <TextInput
            aria-label={t.headerName}
            placeholder={t.headerName}
            size="xs"
            value={name}
            onChange={(event) => onChange(value.with(index, [event.currentTarget.value, content]))}
          />
          <TextInput
            aria-label={t.headerValue}
            placeholder={t.headerValue}
            size="xs"
            value={content}
            onChange={(event) => onChange(value.with(index, [name, event.currentTarget.value]))}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={t.removeHeader(name)}
            onClick={() => onChange(value.toSpliced(index, 1))}
          >
            <IconX size={14} />
          </ActionIcon>
        </div>
      ))}
      <Button
        className={classes.add}
        variant="subtle"
        leftSection={<IconPlus size={14} />}
        onClick={() => onChange([...value, ["", ""]])}
      >
        {t.addHeader}
      </Button>
    </>
  );
}
