import { useEffect, useRef } from "react";
import { keep, useKept } from "@/app/kept";
import { namespace } from "@/app/session";
import { requestHeaders } from "./client";

/** What `/v1/events` tells of. Events carry ids alone: whoever shows a thing asks for it again. */
export type Topic = "tasks" | "nodes" | "redrives" | "breakers" | "alerts";

export interface LiveEvent {
  topic: Topic;
  ids: readonly string[];
}

/** Whether events arrive; pages that show live figures ask from time to time when they do not. */
export const live = keep<boolean>(false);

const listeners = new Set<(event: LiveEvent) => void>();
let stream: { namespace: string; stop: AbortController } | null = null;

/**
 * Hear of changes while this component is shown.
 *
 * @param topics What to hear of.
 * @param hear Called with each event. It may change from render to render.
 */
export function useLive(topics: readonly Topic[], hear: (event: LiveEvent) => void): boolean {
  const latest = useRef(hear);
  latest.current = hear;
  const wanted = topics.join();
  const shown = useKept(namespace);
  useEffect(() => {
    const names = new Set(wanted.split(","));
    const listener = (event: LiveEvent) => {
      if (names.has(event.topic)) latest.current(event);
    };
    listeners.add(listener);
    listen(shown);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) {
        stream?.stop.abort();
        stream = null;
      }
    };
  }, [wanted, shown]);
  return useKept(live);
}

function listen(name: string): void {
  if (stream?.namespace === name && !stream.stop.signal.aborted) return;
  stream?.stop.abort();
  const stop = new AbortController();
  stream = { namespace: name, stop };
  void keepListening(stop.signal);
}

async function keepListening(signal: AbortSignal): Promise<void> {
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      // EventSource cannot send the key, so the stream is read by hand.
      const response = await fetch("/v1/events", {
        headers: { ...requestHeaders(), Accept: "text/event-stream" },
        signal,
      });
      if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        if (response.status < 500) return; // the server has no events, or refuses them: polling remains
      } else if (response.body) {
        live.set(true);
        failures = 0;
        await read(response.body);
      }
    } catch {
      // A broken connection is opened again below.
    }
    live.set(false);
    if (!signal.aborted) await pause(Math.min(1_000 * 2 ** failures, 30_000) * (0.5 + Math.random() / 2), signal);
  }
}

async function read(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) tell(block);
  }
}

function tell(block: string): void {
  const fields = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line));
  const topic = fields.find((field) => field?.[1] === "event")?.[2] as Topic | undefined;
  if (!topic) return;
  const data = fields.flatMap((field) => (field?.[1] === "data" ? [field[2] ?? ""] : [])).join("\n");
  let ids: string[] = [];
  try {
    const parsed: unknown = JSON.parse(data);
    const found = Array.isArray(parsed) ? parsed : (parsed as { ids?: unknown } | null)?.ids;
    if (Array.isArray(found)) ids = found.map(String);
  } catch {
    // The topic alone is told: everything of it may have changed.
  }
  for (const listener of listeners) listener({ topic, ids });
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      resolve();
    }
  });
}
