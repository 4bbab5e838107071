import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where the API listens while the console is being developed. */
const api = process.env.REDRIVE_URL ?? "http://127.0.0.1:8600";

const proxy = Object.fromEntries(
  ["/v1", "/docs", "/openapi.json", "/problems", "/healthz", "/readyz"].map((path) => [path, api]),
);

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  server: { proxy },
  preview: { proxy },
  build: {
    target: "es2022",
    sourcemap: false,
    assetsInlineLimit: 0,
    manifest: true,
    modulePreload: { polyfill: false },
  },
});
