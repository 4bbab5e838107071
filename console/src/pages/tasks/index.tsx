import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconArrowUp, IconInbox, IconListSearch, IconRefresh } from "@tabler/icons-react";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import { messages as taskMessages } from "@/tasks/messages";
import { replaceTerm, suggestTasks } from "@/tasks/selection";
import { ColumnChooser, DataTable, type Marks, MarksBar, NO_MARKS, useHiddenColumns } from "@/ui/data-table";
import { messages as uiMessages } from "@/ui/messages";
import { Page } from "@/ui/page";
import { QueryBar } from "@/ui/query-bar";
import { Empty, Failed, Loading } from "@/ui/states";
import { BulkButtons } from "./components/bulk";
import { HIDDEN_AT_FIRST, TaskCard, useColumns } from "./components/columns";
import { StatusTabs } from "./components/status-tabs";
import { Views } from "./components/views";
import { useTasks } from "./hooks/use-tasks";
import classes from "./index.module.css";
import { messages } from "./messages";
import type { Sort } from "./search";

const route = getRouteApi("/tasks");

export default function TasksPage() {
  const t = useMessages(messages);
  const u = useMessages(uiMessages);
  const p = useMessages(taskMessages);
  const { q = "", sort = "-created_at", hide } = route.useSearch();
  const navigate = route.useNavigate();
  const tasks = useTasks(q, sort);
  const columns = useColumns();
  const [kept, setKept] = useHiddenColumns("tasks", HIDDEN_AT_FIRST);
  const hidden = hide === undefined ? kept : hide.split(",");
  const [marks, setMarks] = useState<Marks>(NO_MARKS);

  function filter(next: string) {
    setMarks(NO_MARKS);
    void navigate({ search: (now) => ({ ...now, q: next || undefined }) });
  }
  const { count } = tasks;
  return (
    <Page
      filled
      title={t.title}
      lead={count ? t.matching(count.count, count.exact) : " "}
      actions={
        <>
          <Views search={{ q: q || undefined, sort, hide: hidden.join(",") || undefined }} />
          <ColumnChooser
            columns={columns}
            hidden={hidden}
            onChange={(next) => {
              setKept(next);
              if (hide !== undefined) void navigate({ search: (now) => ({ ...now, hide: undefined }) });
            }}
          />
          <Tooltip label={t.refresh}>
            <ActionIcon variant="default" size={30} aria-label={t.refresh} onClick={tasks.renew}>
              <IconRefresh size={16} stroke={1.7} />
            </ActionIcon>
          </Tooltip>
        </>
      }
    >
      <QueryBar
        value={q}
        onChange={filter}
        fields={tasks.fields}
        placeholder={p.placeholder}
        problem={tasks.problem}
        suggest={suggestTasks}
      />
      <StatusTabs
        chosen={tasks.selection.status ?? []}
        onChoose={(status) => filter(replaceTerm(q, tasks.fields, "status", status))}
      />
      <div className={classes.list} data-fetching={tasks.fetching || undefined}>
        {tasks.arrived > 0 && (
          <Button
            className={classes.pill}
            variant="filled"
            radius="xl"
            leftSection={<IconArrowUp size={14} />}
            onClick={tasks.renew}
          >
            {u.newRows(tasks.arrived)}
          </Button>
        )}
        {tasks.query.error && !tasks.query.data ? (
          <Failed error={tasks.query.error} onRetry={() => void tasks.query.refetch()} />
        ) : !tasks.query.data ? (
          <Loading rows={12} />
        ) : (
          <DataTable
            label={t.title}
            columns={columns}
            hidden={hidden}
            rows={tasks.rows}
            rowId={({ id }) => id}
            link={({ id }) => ({ to: "/tasks/$taskId", params: { taskId: id } })}
            sort={sort}
            onSort={(next) => void navigate({ search: (now) => ({ ...now, sort: next as Sort }) })}
            more={tasks.more}
            marks={marks}
            onMarks={setMarks}
            card={(task) => <TaskCard task={task} />}
            empty={
              q ? (
                <Empty
                  icon={IconListSearch}
                  title={t.none}
                  hint={t.noneHint}
                  action={<Button onClick={() => filter("")}>{t.clear}</Button>}
                />
              ) : (
                <Empty icon={IconInbox} title={t.never} hint={t.neverHint} />
              )
            }
          />
        )}
        <MarksBar marks={marks} loaded={tasks.rows.length} total={count?.exact ? count.count : null} onMarks={setMarks}>
          <BulkButtons
            selection={marks.all ? tasks.selection : { ids: [...marks.ids] }}
            onDone={() => {
              setMarks(NO_MARKS);
              tasks.renew();
            }}
          />
        </MarksBar>
      </div>
    </Page>
  );
}
