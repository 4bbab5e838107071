import { ActionIcon, Button, Menu, TextInput } from "@mantine/core";
import { IconBookmark, IconTrash } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { sayProblem } from "@/ui/say";
import { messages } from "../messages";
import { type TasksSearch, validateTasks } from "../search";
import classes from "./views.module.css";

const BUILT_IN = {
  recentDead: { q: "status:dead finished:<24h", sort: "-finished_at" },
  overdue: { q: "status:pending,waiting,parked next:<0s", sort: "next_attempt_at" },
  parked: { q: "status:parked", sort: "-updated_at" },
  manyAttempts: { sort: "-attempts" },
} as const satisfies Record<string, TasksSearch>;

/** Filters that were given a name: some are always there, others people of the namespace have saved. */
export function Views({ search }: { search: TasksSearch }) {
  const t = useMessages(messages);
  const navigate = useNavigate({ from: "/tasks" });
  const [open, setOpen] = useState(false);
  const [saving, setSaving] = useState(false);
  const [name, setName] = useState("");
  const saved = $api.useQuery(
    "get",
    "/v1/views",
    { params: { query: { page: "tasks" } } },
    { enabled: open || saving },
  );

  function show(view: TasksSearch) {
    void navigate({ search: ({ namespace }) => ({ namespace, ...view }) });
  }
  async function save() {
    const given = Object.entries(search).filter((entry): entry is [string, string] => typeof entry[1] === "string");
    await api.POST("/v1/views", {
      body: { page: "tasks", name: name.trim(), query: new URLSearchParams(given).toString() },
    });
    setName("");
    await saved.refetch();
  }
  async function remove(id: string) {
    try {
      await api.DELETE("/v1/views/{view_id}", { params: { path: { view_id: id } } });
      await saved.refetch();
    } catch (error) {
      sayProblem(error);
    }
  }
  const views = saved.data?.items ?? [];
  return (
    <>
      <Menu opened={open} onChange={setOpen} position="bottom-end" width={280}>
        <Menu.Target>
          <Button leftSection={<IconBookmark size={15} />}>{t.views}</Button>
        </Menu.Target>
        <Menu.Dropdown>
          {(Object.keys(BUILT_IN) as (keyof typeof BUILT_IN)[]).map((key) => (
            <Menu.Item key={key} onClick={() => show(BUILT_IN[key])}>
              {t.builtin[key]}
            </Menu.Item>
          ))}
          <Menu.Divider />
          {views.length === 0 && <Menu.Label>{t.noViews}</Menu.Label>}
          {views.map((view) => (
            <div key={view.id} className={classes.saved}>
              <Menu.Item onClick={() => show(validateTasks(Object.fromEntries(new URLSearchParams(view.query))))}>
                {view.name}
              </Menu.Item>
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={t.deleteView(view.name)}
                onClick={() => void remove(view.id)}
              >
                <IconTrash size={14} />
              </ActionIcon>
            </div>
          ))}
          <Menu.Divider />
          <Menu.Item leftSection={<IconBookmark size={15} />} onClick={() => setSaving(true)}>
            {t.saveView}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {saving && (
        <ConfirmDialog
          title={t.saveView}
          action={t.save}
          disabled={!name.trim()}
          onConfirm={save}
          onClose={() => setSaving(false)}
        >
          <TextInput
            label={t.viewName}
            description={t.viewHint}
            value={name}
            maxLength={255}
            data-autofocus
            onChange={(event) => setName(event.currentTarget.value)}
          />
        </ConfirmDialog>
      )}
    </>
  );
}
