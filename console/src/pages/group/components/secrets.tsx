import { Button } from "@mantine/core";
import { IconEye, IconEyeOff, IconRefresh } from "@tabler/icons-react";
import { useState } from "react";
import { $api, api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { CopyButton } from "@/ui/copy";
import { Panel } from "@/ui/page";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import classes from "./group-settings.module.css";

/** The secrets by which a group's requests are signed. They are fetched when somebody wants to see them. */
export function Secrets({ group }: { group: string }) {
  const t = useMessages(messages);
  const [shown, setShown] = useState(false);
  const [rotating, setRotating] = useState(false);
  const params = { path: { group } };
  const secrets = $api.useQuery("get", "/v1/groups/{group}/signing-secrets", { params }, { enabled: shown, gcTime: 0 });
  return (
    <Panel title={t.secrets}>
      <p className={classes.hint}>{t.secretsHint}</p>
      {shown && (
        <Result query={secrets} rows={1}>
          {({ signing_secrets, previous_until }) => (
            <div>
              {signing_secrets.map((secret, index) => (
                <div key={secret} className={classes.secret}>
                  <code>{secret}</code>
                  {index === 0 ? (
                    t.current
                  ) : (
                    <span>
                      {t.previous} <Time at={previous_until} />
                    </span>
                  )}
                  <CopyButton text={secret} />
                </div>
              ))}
            </div>
          )}
        </Result>
      )}
      <div className={classes.buttons}>
        <Button leftSection={shown ? <IconEyeOff size={14} /> : <IconEye size={14} />} onClick={() => setShown(!shown)}>
          {shown ? t.hide : t.show}
        </Button>
        <Button leftSection={<IconRefresh size={14} />} onClick={() => setRotating(true)}>
          {t.rotate}
        </Button>
      </div>
      {rotating && (
        <ConfirmDialog
          title={t.rotateTitle(group)}
          action={t.rotate}
          onClose={() => setRotating(false)}
          onConfirm={async () => {
            const body = { keep_previous_seconds: 86_400 };
            await api.POST("/v1/groups/{group}/signing-secrets/rotate", { params, body });
            if (shown) await secrets.refetch();
            sayDone(t.rotated);
          }}
        >
          {t.rotateText}
        </ConfirmDialog>
      )}
    </Panel>
  );
}
