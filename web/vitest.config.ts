import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["client/test/**/*.test.ts", "page/test/**/*.test.ts"],
    environment: "node",
    pool: "threads",
    isolate: false, // a thread a file would load everything anew, which takes twice as long
    watch: false,
    testTimeout: 120_000, // for busy machines: tests move the time themselves
  },
});
