import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "tests",
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 20_000 },
  outputDir: process.env.HARDWAY_FAILURES ?? "test-results",
  reporter: "line",
  use: {
    baseURL: process.env.HARDWAY_DASHBOARD,
    viewport: { width: 1280, height: 860 },
    // The add-on makes its certificate itself, as nobody gives it another.
    ignoreHTTPSErrors: true,
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.HARDWAY_CHROMIUM ?? "/usr/bin/chromium",
      // Root, as whom labs run, has no sandbox.
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    },
  },
});
