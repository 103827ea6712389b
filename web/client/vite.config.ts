// The library as files: dist/segue.js, dist/audio.js, a module for each worklet, and their shared chunks.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: from("."),
  logLevel: "warn",
  // Names of error classes survive minification.
  esbuild: { keepNames: true },
  build: {
    target: "es2022",
    outDir: from("dist"),
    emptyOutDir: true,
    sourcemap: true,
    minify: "esbuild",
    lib: {
      entry: {
        segue: from("src/index.ts"),
        audio: from("src/audio/index.ts"),
        "worklets/capture": from("src/audio/capture.worklet.ts"),
        "worklets/playback": from("src/audio/playback.worklet.ts"),
      },
      formats: ["es"],
    },
    rollupOptions: { output: { entryFileNames: "[name].js", chunkFileNames: "[name].js" } },
  },
});
