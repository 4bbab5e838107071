import { useQuery } from "@tanstack/react-query";
import { api } from "@/api/client";
import { asRequest, type Parts } from "./parts";

/** The policy that holds where no layer says anything. The simulator lays what it is given over it, and shows the whole. */
export function useDefaults() {
  return useQuery({
    queryKey: ["policy defaults"],
    queryFn: async ({ signal }) => {
      const body = { policy: asRequest({}), outage_seconds: 0, tasks: 1, attempt_seconds: 0, seed: 0 };
      const { data } = await api.POST("/v1/policies/simulate", { body, signal });
      return (data?.policy ?? {}) as unknown as Parts;
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
}
