import { notifications } from "@mantine/notifications";
import { IconCheck, IconExclamationMark } from "@tabler/icons-react";
import { Problem } from "@/api/problem";
import { language } from "@/i18n/language";
import { messages } from "./messages";

/** Say for a few seconds that something was done. */
export function sayDone(message: string): void {
  notifications.show({
    message,
    color: "teal",
    icon: <IconCheck size={16} />,
    autoClose: 4000,
    withBorder: true,
    closeButtonProps: { "aria-label": messages[language.get()].close },
  });
}

/** Say why something was not done, until it is read. */
export function sayProblem(error: unknown): void {
  const { title, detail } = Problem.of(error);
  notifications.show({
    title,
    message: detail,
    color: "red",
    icon: <IconExclamationMark size={16} />,
    autoClose: 10_000,
    withBorder: true,
    closeButtonProps: { "aria-label": messages[language.get()].close },
  });
}
