import { ActionIcon, Menu, useMantineColorScheme } from "@mantine/core";
import {
  IconAdjustmentsHorizontal,
  IconBook2,
  IconCheck,
  IconDeviceDesktop,
  IconLogout,
  IconMoon,
  IconSun,
} from "@tabler/icons-react";
import { LANGUAGES, language, useLanguage, useMessages } from "@/i18n/language";
import { messages } from "./messages";
import { apiKey, signOut } from "./session";

const SCHEMES = [
  { value: "light", icon: IconSun },
  { value: "dark", icon: IconMoon },
  { value: "auto", icon: IconDeviceDesktop },
] as const;

/** How the console looks and speaks. */
export function Preferences() {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  return (
    <Menu position="top-start" width={200}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`${t.appearance}, ${t.language}`}>
          <IconAdjustmentsHorizontal size={17} stroke={1.7} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t.appearance}</Menu.Label>
        {SCHEMES.map(({ value, icon: Icon }) => (
          <Menu.Item
            key={value}
            leftSection={<Icon size={15} />}
            rightSection={colorScheme === value ? <IconCheck size={14} /> : null}
            onClick={() => setColorScheme(value)}
          >
            {t[value]}
          </Menu.Item>
        ))}
        <Menu.Label>{t.language}</Menu.Label>
        {LANGUAGES.map(({ code, name }) => (
          <Menu.Item
            key={code}
            lang={code}
            rightSection={spoken === code ? <IconCheck size={14} /> : null}
            onClick={() => language.set(code)}
          >
            {name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item component="a" href="/docs" target="_blank" leftSection={<IconBook2 size={15} />}>
          {t.apiDocs}
        </Menu.Item>
        {apiKey() && (
          <Menu.Item leftSection={<IconLogout size={15} />} onClick={signOut}>
            {t.signOut}
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
