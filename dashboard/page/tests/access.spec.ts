/** Who has few permissions sees what they are; who has a token logs in with it. */

import { ADD_ON, expect, GUEST, NAMESPACE, NODE, objectPlace, open, test, TOKEN } from "./lab";

test.describe("a guest", () => {
  test.use({ baseURL: GUEST });

  test("is told what they may not do", async ({ page }) => {
    await open(page, objectPlace("core/v1", "pods", "talker"));
    const remove = page.getByRole("button", { name: "Delete…" });
    await expect(remove).toHaveAttribute("aria-disabled", "true");
    await expect(remove).toHaveAttribute("title", `You may not delete pods in ${NAMESPACE}`);
    // It can be reached, though it is not enabled.
    await remove.click({ force: true });
    await expect(page.getByRole("dialog")).toBeHidden();
    await expect(page.getByText("You may not delete pods").first()).toBeVisible();
  });

  test("reads refusals in the API server's words", async ({ page }) => {
    await open(page, "nodes");
    await expect(page.getByRole("alert")).toContainText("cannot list resource");
    await page.goto("#/configuration/secrets");
    await expect(page.getByRole("alert")).toContainText("cannot list resource");
    await page.goto("#/pods");
    await expect(page.getByRole("link", { name: "talker" })).toBeVisible();
    const namespace = page.getByRole("textbox", { name: "Namespace" });
    await expect(namespace).toHaveValue(NAMESPACE);
  });

  test("may change what they may change", async ({ page }) => {
    await open(page, `${objectPlace("core/v1", "configmaps", "settings")}?tab=yaml`);
    await expect(page.getByRole("button", { name: "Edit" })).toHaveAttribute("aria-disabled", "false");
  });
});

test.describe("the add-on", () => {
  test.use({ baseURL: ADD_ON });

  test("wants a token, and forgets it on leaving", async ({ page }) => {
    await page.addInitScript((namespace) => localStorage.setItem("dashboard.namespace", namespace), NAMESPACE);
    await page.goto("#/pods");
    await page.getByLabel("Token").fill("nonsense");
    await page.getByRole("button", { name: "Log in" }).click();
    await expect(page.getByRole("alert")).toBeVisible();
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Log in" }).click();
    await expect(page.getByRole("link", { name: "talker" })).toBeVisible();
    expect(page.url()).not.toContain(TOKEN);
    expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie)).not.toContain(TOKEN);
    await page.reload();
    await expect(page.getByRole("link", { name: "talker" })).toBeVisible();
    await page.getByRole("button", { name: "Log out" }).click();
    await expect(page.getByLabel("Token")).toBeVisible();
    await page.reload();
    await expect(page.getByLabel("Token")).toBeVisible();
  });
});

test("nothing comes from elsewhere, and nothing may run that is not the page's", async ({ page, baseURL }) => {
  const asked = new Set<string>();
  page.on("request", (request) => asked.add(new URL(request.url()).origin));
  const response = await page.goto("#/cluster");
  await expect(page.getByRole("link", { name: NODE }).first()).toBeVisible();
  expect([...asked]).toEqual([new URL(baseURL ?? "").origin]);
  const policy = response?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
});
