import { QueryClient } from "@tanstack/react-query";
import createFetchClient, { type Middleware } from "openapi-fetch";
import createQueryClient from "openapi-react-query";
import { apiKey, keyWanted, namespace } from "@/app/session";
import { Problem, problemOf } from "./problem";
import type { components, paths } from "./schema";

/** The API's resources by name: `Schema<"TaskResource">`. */
export type Schema<N extends keyof components["schemas"]> = components["schemas"][N];

/** Headers of every request: whose it is, and what it is about. */
export function requestHeaders(): Record<string, string> {
  const key = apiKey();
  return { "Redrive-Namespace": namespace.get(), ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

const edge: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(requestHeaders())) request.headers.set(name, value);
    return request;
  },
  async onResponse({ response }) {
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (problem.status === 401) keyWanted.set({ refused: apiKey() !== null });
    throw problem;
  },
  onError({ error }) {
    return error instanceof Problem
      ? error
      : new Problem(0, "", error instanceof Error ? error.message : String(error));
  },
};

/** The API, typed by its OpenAPI document. A refusal is thrown as a `Problem`. */
export const api = createFetchClient<paths>({
  baseUrl: window.location.origin,
  querySerializer: { array: { style: "form", explode: true } },
});
api.use(edge);

/** The same as hooks: `$api.useQuery("get", "/v1/tasks", {params: {query: {…}}})`. */
export const $api = createQueryClient(api);

const clients = new Map<string, QueryClient>();

/** What is known of a namespace. Each has a client of its own, so that nothing of one is ever shown in another. */
export function queryClientOf(name: string): QueryClient {
  let client = clients.get(name);
  if (!client) {
    client = new QueryClient({
      defaultOptions: {
        queries: {
          staleTime: 2_000,
          retry: (count, error) => count < 2 && Problem.of(error).passing,
          retryDelay: (count) => Math.min(500 * 2 ** count, 5_000),
          refetchOnWindowFocus: true,
        },
        mutations: { retry: false },
      },
    });
    clients.set(name, client);
  }
  return client;
}

/** Forget everything: the key has changed, and with it what may be seen. */
export function forgetAll(): void {
  for (const client of clients.values()) client.clear();
}
