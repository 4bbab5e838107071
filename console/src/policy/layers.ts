import { $api } from "@/api/client";
import { useKept } from "@/app/kept";
import { namespace } from "@/app/session";
import type { Parts } from "./parts";

/** What the namespace says of the policy of all its groups. */
export function useNamespacePolicy() {
  const name = useKept(namespace);
  return $api.useQuery(
    "get",
    "/v1/namespaces/{name}",
    { params: { path: { name } } },
    { select: ({ policy }) => policy as Parts },
  );
}
