/** What all tests against a lab use. */

import AxeBuilder from "@axe-core/playwright";
import { test as base, expect, type Page } from "@playwright/test";

function set(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: these tests are run by cargo hardway test --suite dashboard`);
  return value;
}

/** The namespace that was filled for these tests. */
export const NAMESPACE = set("HARDWAY_NAMESPACE");
/** The node on which the pod `talker` is. */
export const NODE = set("HARDWAY_NODE");
export const GUEST = set("HARDWAY_DASHBOARD_GUEST");
export const ADD_ON = set("HARDWAY_DASHBOARD_ADD_ON");
export const TOKEN = set("HARDWAY_TOKEN");

/** Tests that fail if the page has errors of its own. */
export const test = base.extend<{ flawless: void }>({
  flawless: [
    async ({ page }, use) => {
      const flaws: string[] = [];
      page.on("pageerror", (error) => flaws.push(error.message));
      page.on("console", (message) => {
        // What the API server refuses is shown by the page, and logged by the browser as well. The
        // network of this machine changes with each pod.
        if (message.type() === "error" && !/status of 4\d\d|status of 503|ERR_NETWORK_CHANGED/.test(message.text())) flaws.push(message.text());
      });
      await use();
      expect(flaws).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Opens a view, in the tests' namespace. */
export async function open(page: Page, place: string): Promise<void> {
  await page.addInitScript((namespace) => localStorage.setItem("dashboard.namespace", namespace), NAMESPACE);
  // The browser breaks off a page's loading when the network of the machine changes.
  await expect(async () => {
    await page.goto(`#/${place}`);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible({ timeout: 8_000 });
  }).toPass();
}

export function objectPlace(groupVersion: string, plural: string, name: string, namespace = NAMESPACE): string {
  return `object/${groupVersion}/${plural}/${namespace}/${name}`;
}

/** No fault by the rules of WCAG 2.2 AA that a machine can check; or by some of them. */
export async function accessible(page: Page, rules?: string[]): Promise<void> {
  // The page has no frames: without a second page for the outcome it takes half the time.
  const axe = new AxeBuilder({ page }).setLegacyMode();
  const chosen = rules === undefined ? axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]) : axe.withRules(rules);
  const { violations } = await chosen.analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`)).toEqual([]);
}

/** Nothing sticks out at the side. */
export async function fits(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
}

/** A request to the Kubernetes API past the page, as the one who looks. */
export async function kube(page: Page, method: string, path: string, data?: unknown, contentType = "application/json"): Promise<unknown> {
  const response = await page.request.fetch(`k8s${path}`, {
    method,
    headers: { "Content-Type": contentType, "X-Hardway-Dashboard": "1" },
    data: data === undefined ? undefined : JSON.stringify(data),
  });
  expect(response.ok(), `${method} ${path}: ${response.status()}`).toBeTruthy();
  return response.json();
}
