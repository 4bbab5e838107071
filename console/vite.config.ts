import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Where the API listens while the console is being developed. */
const api = process.env.REDRIVE_URL ?? "http://127.0.0.1:8600";

const proxy = Object.fromEntries(
  ["/v1", "/docs", "/openapi.json", "/problems", "/healthz", "/readyz"].map((path) => [path, api]),
);

/** Compress once, at the build, what every first visit asks for. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    async closeBundle() {
      const folder = new URL("./dist", import.meta.url).pathname;
      const names = await readdir(folder, { recursive: true });
      await Promise.all(
        names
          .filter((name) => /\.(js|css|svg|html)$/.test(name))
          .flatMap(async (name) => {
            const content = await readFile(join(folder, name));
            await writeFile(join(folder, `${name}.br`), brotliCompressSync(content));
            await writeFile(join(folder, `${name}.gz`), gzipSync(content, { level: 9 }));
          }),
      );
    },
  };
}

export default defineConfig({
  plugins: [react(), packed()],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  server: { proxy },
  preview: { proxy },
  build: {
    target: "es2022",
    sourcemap: false,
    assetsInlineLimit: 0,
    manifest: true,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
  },
});
