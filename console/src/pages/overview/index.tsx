import { getRouteApi } from "@tanstack/react-router";
import { useMessages } from "@/i18n/language";
import { Page } from "@/ui/page";
import { RangePicker } from "@/ui/range-picker";
import { Result } from "@/ui/states";
import { Due } from "./components/due";
import { FailingScenes } from "./components/failing-scenes";
import { FirstTask } from "./components/first-task";
import { LagPanel } from "./components/lag-panel";
import { RisingErrors } from "./components/rising-errors";
import { States } from "./components/states";
import { SuccessAfter } from "./components/success-after";
import { ThroughputPanel } from "./components/throughput-panel";
import { Vitals } from "./components/vitals";
import { useOverview } from "./hooks/use-overview";
import classes from "./index.module.css";
import { messages } from "./messages";

const route = getRouteApi("/");

export default function OverviewPage() {
  const t = useMessages(messages);
  const { range = "1h", group } = route.useSearch();
  const navigate = route.useNavigate();
  const query = useOverview(range, group);
  return (
    <Page
      title={t.title}
      actions={
        <RangePicker
          value={range}
          onChange={(chosen) => void navigate({ search: (now) => ({ ...now, range: chosen }) })}
        />
      }
    >
      <Result query={query} rows={12}>
        {(overview) =>
          Object.values(overview.counts).every((count) => count === 0) ? (
            <FirstTask />
          ) : (
            <>
              <Vitals overview={overview} />
              <States overview={overview} group={group} />
              <div className={classes.wide}>
                <ThroughputPanel overview={overview} group={group} />
                <SuccessAfter overview={overview} range={range} group={group} />
              </div>
              <div className={classes.halves}>
                <FailingScenes overview={overview} range={range} />
                <RisingErrors overview={overview} range={range} group={group} />
              </div>
              <div className={classes.halves}>
                <LagPanel overview={overview} group={group} />
                <Due overview={overview} group={group} />
              </div>
            </>
          )
        }
      </Result>
    </Page>
  );
}
