/** A pod: its log, its terminal, its events; and the node under it. */

import { expect, kube, NAMESPACE, NODE, objectPlace, open, test } from "./lab";

const TALKER = objectPlace("core/v1", "pods", "talker");

test("logs are followed and searched", async ({ page }) => {
  await open(page, `${TALKER}?tab=logs`);
  const log = page.getByRole("log");
  await expect(log).toContainText("the second line");
  await page.getByLabel("Search the log").fill("SECOND");
  await expect(page.getByText("1 of 1")).toBeVisible();
  await expect(log.locator("mark")).toHaveText("second");
  await page.getByLabel("Only matches").check();
  await expect(log).not.toContainText("the first line");
  await page.getByLabel("Times").check();
  await expect(log).toContainText(/\d{4}-\d\d-\d\dT/);
});

test("the log of the run before is there", async ({ page }) => {
  await open(page, objectPlace("core/v1", "pods", "restarted"));
  await expect(page.getByText("Error (exit code 3)")).toBeVisible({ timeout: 45_000 });
  await page.getByRole("link", { name: "Logs" }).first().click();
  await page.getByLabel("Previous run").check();
  await expect(page.getByRole("log")).toContainText("the run before");
});

test("a terminal runs a shell", async ({ page }) => {
  await open(page, `${TALKER}?tab=terminal`);
  const screen = page.getByRole("textbox", { name: "Terminal in main" });
  await expect(screen).toContainText("#");
  await screen.click();
  await page.keyboard.type("echo $((6*7)) is the answer; stty size\n");
  await expect(screen).toContainText("42 is the answer");
  await expect(screen).toContainText(/\d\d+ \d\d+/);
  await page.keyboard.type("exit 3\n");
  await expect(page.getByRole("status").filter({ hasText: "exit code 3" })).toBeVisible();
  await page.keyboard.press("Control+Shift+Escape");
  await expect(screen).not.toBeFocused();
});

test("events stand on a timeline", async ({ page }) => {
  await open(page, TALKER);
  await expect(page.locator(".events")).toContainText("Started");
  expect(await page.locator(".eventline i").count()).toBeGreaterThan(1);
});

test("pods are sorted and filtered", async ({ page }) => {
  await open(page, "pods");
  const rows = page.getByRole("table", { name: "Pods" }).getByRole("row");
  await page.getByLabel("Filter Pods").fill("broken");
  await expect(rows).toHaveCount(2);
  await page.getByLabel("Filter Pods").fill("");
  await page.getByRole("button", { name: "Status" }).click();
  await expect(rows.nth(1)).toContainText("broken");
  await expect(page.getByRole("columnheader", { name: "Status" })).toHaveAttribute("aria-sort", "ascending");
  await page.getByRole("link", { name: "broken" }).focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/broken$/);
});

test("a node is cordoned, and drained when one knows what that does", async ({ page }) => {
  const budget = {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: "none", namespace: NAMESPACE },
    spec: { minAvailable: 1, selector: { matchLabels: { app: "guarded" } } },
  };
  const guarded = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "guarded", namespace: NAMESPACE, labels: { app: "guarded" } },
    spec: {
      nodeName: NODE,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "main", image: "busybox:1.36", command: ["sleep", "3600"] }],
    },
  };
  await kube(page, "POST", `/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets`, budget);
  await kube(page, "POST", `/api/v1/namespaces/${NAMESPACE}/pods`, guarded);
  await open(page, objectPlace("core/v1", "nodes", NODE, "_"));
  await page.getByRole("button", { name: "Cordon" }).click();
  await expect(page.getByText("Ready, SchedulingDisabled").first()).toBeVisible();
  await page.getByRole("button", { name: "Uncordon" }).click();
  await expect(page.getByRole("button", { name: "Cordon" })).toBeVisible();

  await page.getByRole("button", { name: "Drain…" }).click();
  const steps = page.getByRole("list", { name: "What would happen" });
  const of = (name: string) => steps.getByRole("listitem").filter({ hasText: name });
  await expect(of("/talker")).toContainText("deleted for good");
  await expect(of("/talker")).toContainText("emptyDir (cache)");
  await expect(of("/guarded")).toContainText("PodDisruptionBudget none");
  await expect(of("hardway-provisioner")).toContainText("stays");
  await expect(page.getByRole("button", { name: "Drain", exact: true })).toBeDisabled();
  await page.getByRole("button", { name: "Cancel" }).click();
});
