/** The pictures of docs/dashboard.md, when they are asked for. */

import { expect, kube, NAMESPACE, NODE, objectPlace, open, test } from "./lab";

test.skip(process.env.HARDWAY_PICTURES === undefined, "no pictures are wanted");
test.use({ viewport: { width: 1200, height: 760 } });

function file(name: string): string {
  return `../../docs/pictures/${name}.png`;
}

test("the cluster", async ({ page }) => {
  await open(page, "cluster");
  await page.getByLabel("Namespace", { exact: true }).selectOption("");
  await expect(page.locator(".diagnosis").first()).toBeVisible();
  await expect(page.getByText("Memory").first()).toBeVisible();
  await page.screenshot({ path: file("cluster") });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 390, height: 760 });
  await page.screenshot({ path: file("dark") });
});

test("a rollout", async ({ page }) => {
  const container = { name: "main", image: "busybox:1.36", command: ["sh", "-c", "trap exit TERM; sleep 1000000 & wait"] };
  const template = { metadata: { labels: { app: "shop" } }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } };
  const api = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;
  await kube(page, "POST", api, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "shop", namespace: NAMESPACE },
    spec: { replicas: 12, selector: { matchLabels: { app: "shop" } }, template },
  });
  await open(page, objectPlace("apps/v1", "deployments", "shop"));
  await expect(page.getByText("12 ready, 12 desired")).toBeVisible();
  await page.getByRole("button", { name: "Restart…" }).click();
  await page.getByRole("button", { name: "Restart", exact: true }).click();
  await expect(page.getByText("Revision 2")).toBeVisible();
  await expect(page.getByText(/^[5-9] ready, \d+ desired/).first()).toBeVisible();
  await page.screenshot({ path: file("rollout") });
  await kube(page, "DELETE", `${api}/shop`);
});

test("a log", async ({ page }) => {
  await open(page, `${objectPlace("core/v1", "pods", "talker")}?tab=logs`);
  await page.getByLabel("Search the log").fill("line");
  await expect(page.getByText("1 of 2")).toBeVisible();
  await page.screenshot({ path: file("log"), clip: { x: 0, y: 0, width: 1200, height: 420 } });
});

test("a drain", async ({ page }) => {
  await open(page, objectPlace("core/v1", "nodes", NODE, "_"));
  await page.getByRole("button", { name: "Drain…" }).click();
  await expect(page.getByRole("list", { name: "What would happen" })).toContainText("talker");
  await page.getByRole("dialog").screenshot({ path: file("drain") });
});
