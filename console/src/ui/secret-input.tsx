import { PasswordInput, type PasswordInputProps } from "@mantine/core";
import { useMessages } from "@/i18n/language";
import { messages } from "./messages";

/** A field for a secret, which can be looked at while it is typed. */
export function SecretInput(props: PasswordInputProps) {
  const t = useMessages(messages);
  return (
    <PasswordInput
      {...props}
      aria-invalid={props.error ? true : undefined}
      visibilityToggleButtonProps={{ "aria-label": t.showSecret }}
    />
  );
}
