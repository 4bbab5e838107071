import { ActionIcon, Button, Menu } from "@mantine/core";
import {
  IconAdjustments,
  IconDots,
  IconPlayerPause,
  IconPlayerPlay,
  IconRefresh,
  IconTrash,
  IconX,
} from "@tabler/icons-react";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import type { Action } from "@/redrives/form";
import { messages as redriveMessages } from "@/redrives/messages";
import { RedriveDialog } from "@/redrives/redrive-dialog";
import type { Selection } from "@/tasks/selection";
import { messages } from "../messages";

/** What can be done with many tasks at once. Each choice counts first, and becomes a redrive that can be paused. */
export function BulkButtons({ selection, onDone }: { selection: Selection; onDone: () => void }) {
  const t = useMessages(redriveMessages).action;
  const { more } = useMessages(messages);
  // Tasks that are reported while the dialog is open were not seen by whoever marked all.
  const [chosen, setChosen] = useState<{ action: Action; selection: Selection } | null>(null);
  const setAction = (action: Action) => {
    const before = selection.created_before ?? new Date().toISOString();
    setChosen({ action, selection: selection.ids ? selection : { ...selection, created_before: before } });
  };
  return (
    <>
      <Button leftSection={<IconPlayerPlay size={14} />} onClick={() => setAction("retry")}>
        {t.retry}
      </Button>
      <Button leftSection={<IconRefresh size={14} />} onClick={() => setAction("replay")}>
        {t.replay}
      </Button>
      <Button leftSection={<IconPlayerPause size={14} />} onClick={() => setAction("pause")}>
        {t.pause}
      </Button>
      <Menu position="top-end">
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label={more}>
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPlayerPlay size={15} />} onClick={() => setAction("resume")}>
            {t.resume}
          </Menu.Item>
          <Menu.Item leftSection={<IconAdjustments size={15} />} onClick={() => setAction("change_policy")}>
            {t.change_policy}
          </Menu.Item>
          <Menu.Item color="red" leftSection={<IconX size={15} />} onClick={() => setAction("cancel")}>
            {t.cancel}
          </Menu.Item>
          <Menu.Item color="red" leftSection={<IconTrash size={15} />} onClick={() => setAction("delete")}>
            {t.delete}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {chosen && <RedriveDialog {...chosen} onDone={onDone} onClose={() => setChosen(null)} />}
    </>
  );
}
