import { Menu, UnstyledButton } from "@mantine/core";
import { IconCheck, IconSelector } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { $api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { useKept } from "./kept";
import { messages } from "./messages";
import classes from "./namespace-switch.module.css";
import { namespace } from "./session";

/** Shows the namespace, and leads to the same page in another. */
export function NamespaceSwitch() {
  const t = useMessages(messages);
  const shown = useKept(namespace);
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const { data } = $api.useQuery("get", "/v1/namespaces", {}, { enabled: open, staleTime: 10_000 });
  const names = data?.items.map(({ name }) => name) ?? [shown];
  return (
    <Menu opened={open} onChange={setOpen} width="target" position="bottom-start" offset={4}>
      <Menu.Target>
        <UnstyledButton className={classes.target}>
          <span className={classes.dot} aria-hidden>
            {shown.slice(0, 1).toUpperCase()}
          </span>
          <span className={classes.text}>
            <span className={classes.label}>{t.namespace}</span>
            <span className={classes.name}>{shown}</span>
          </span>
          <IconSelector size={15} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        {names.map((name) => (
          <Menu.Item
            key={name}
            aria-label={t.switchNamespace(name)}
            rightSection={name === shown ? <IconCheck size={14} /> : null}
            onClick={() => void navigate({ to: ".", search: (now) => ({ ...now, namespace: name }) })}
          >
            {name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item component={Link} to="/settings">
          {t.manageNamespaces}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
