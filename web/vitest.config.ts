import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["client/test/**/*.test.ts", "page/test/**/*.test.ts"],
    environment: "node",
    pool: "threads",
    isolate: false, // a thread for each file would load everything anew: half of the time
    watch: false,
    testTimeout: 120_000, // of a busy machine: tests move time themselves
  },
});
