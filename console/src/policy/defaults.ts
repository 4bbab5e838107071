import { $api } from "@/api/client";
import type { Parts } from "./parts";

/** The policy that holds where no layer says anything. It is the server's own, and stays while the server runs. */
export function useDefaults() {
  return $api.useQuery(
    "get",
    "/v1/policies/defaults",
    {},
    { select: ({ policy }) => policy as unknown as Parts, staleTime: Number.POSITIVE_INFINITY },
  );
}
