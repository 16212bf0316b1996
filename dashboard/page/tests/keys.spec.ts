/** The page without a mouse, and as one likes it. */

import { accessible, expect, NAMESPACE, open, test } from "./lab";

test("search finds everything", async ({ page }) => {
  await open(page, "cluster");
  await page.keyboard.press("Control+k");
  const search = page.getByRole("combobox", { name: "Search everything" });
  await expect(search).toBeFocused();
  await search.fill(`talker ${NAMESPACE}`);
  await expect(page.getByRole("option", { name: "Service talker" })).toBeVisible();
  await expect(page.getByRole("option", { name: "Pod talker" })).toBeVisible();
  await accessible(page);
  await search.fill(`pod talker ${NAMESPACE}`);
  await expect(page.getByRole("listbox", { name: "Found" }).getByRole("option").first()).toContainText("talker");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/talker$/);
  await page.keyboard.press("/");
  await expect(search).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(search).toBeHidden();
});

test("letters lead to views, unless they are turned off", async ({ page }) => {
  await open(page, "cluster");
  await page.keyboard.type("gp");
  await expect(page.getByRole("heading", { level: 1, name: "Pods" })).toBeFocused();
  await expect(page.getByLabel("Filter Pods")).toBeVisible();
  await page.keyboard.press("f");
  await expect(page.getByLabel("Filter Pods")).toBeFocused();
  await page.keyboard.type("gw");
  await expect(page.getByLabel("Filter Pods")).toHaveValue("gw");
  await page.getByRole("heading", { level: 1 }).focus();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await page.getByLabel("Keys without Ctrl work").uncheck();
  await page.keyboard.press("Escape");
  await page.keyboard.type("gh");
  await expect(page).toHaveURL(/pods$/);
});

test("the first key press leads past the navigation", async ({ page }) => {
  await open(page, "cluster");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
});

test("colours are chosen and kept", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await open(page, "cluster");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: /^Colours as the system/ }).click();
  await page.getByRole("button", { name: /^Light colours/ }).click();
  await expect.poll(ground).not.toBe(light);
  await page.reload();
  await expect(page.getByRole("button", { name: /^Dark colours/ })).toBeVisible();
  expect(await ground()).not.toBe(light);
});

test("on a small screen the views are behind a menu", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await open(page, "cluster");
  await expect(page.getByRole("link", { name: "Pods", exact: true })).toBeHidden();
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Pods", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Pods" })).toBeVisible();
});

test("another namespace shows other things", async ({ page }) => {
  await open(page, "pods");
  await expect(page.getByRole("link", { name: "talker" })).toBeVisible();
  await page.getByLabel("Namespace", { exact: true }).selectOption("kube-system");
  await expect(page.getByRole("link", { name: "talker" })).toBeHidden();
  await expect(page.getByRole("link", { name: /^hardway-dns/ }).first()).toBeVisible();
});
