// The page as files: dist/index.html, and under dist/assets all others, with a hash in each name.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: from("."),
  base: "./",
  logLevel: "warn",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2022",
    outDir: from("dist"),
    emptyOutDir: true,
    // The Content-Security-Policy allows files of this origin alone: no data: scripts, no inline worklets.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
});
