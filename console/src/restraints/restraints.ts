import { $api, type Schema } from "@/api/client";

export type Pause = Schema<"PauseResource">;
export type Limit = Schema<"LimitResource">;
export type Scope = Pause["scope"];

/** What holds attempts back in this namespace. */
export function useRestraints(): { pauses: readonly Pause[]; limits: readonly Limit[]; refetch: () => void } {
  const pauses = $api.useQuery("get", "/v1/pauses", {}, { refetchInterval: 10_000 });
  const limits = $api.useQuery("get", "/v1/limits", {}, { refetchInterval: 10_000 });
  return {
    pauses: pauses.data?.items ?? [],
    limits: limits.data?.items ?? [],
    refetch: () => {
      void pauses.refetch();
      void limits.refetch();
    },
  };
}

/** The pause that holds something: its own first, else the one of what it belongs to. */
export function pauseOf(pauses: readonly Pause[], group?: string, scene?: string): Pause | undefined {
  const names: readonly [Scope, string | undefined][] = [
    ["scene", group !== undefined && scene !== undefined ? `${group}/${scene}` : undefined],
    ["group", group],
    ["namespace", ""],
  ];
  for (const [scope, key] of names) {
    const found = pauses.find(
      (pause) => key !== undefined && pause.scope === scope && (scope === "namespace" || pause.key === key),
    );
    if (found) return found;
  }
  return undefined;
}
