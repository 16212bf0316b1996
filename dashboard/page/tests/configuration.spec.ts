/** What is configured: changed with care, and hidden where it is secret. */

import { expect, kube, NAMESPACE, objectPlace, open, test } from "./lab";

const SETTINGS = objectPlace("core/v1", "configmaps", "settings");

test("a change is reviewed, and one that came between is not overwritten", async ({ page }) => {
  await open(page, `${SETTINGS}?tab=yaml`);
  await page.getByRole("button", { name: "Edit" }).click();
  const editor = page.getByRole("textbox", { name: "YAML" });
  await editor.fill((await editor.inputValue()).replace("key: hello", "key: mine"));
  await page.getByRole("button", { name: "Review" }).click();
  await expect(page.getByLabel("Changes")).toContainText("+   key: mine");
  const api = `/api/v1/namespaces/${NAMESPACE}/configmaps/settings`;
  await kube(page, "PATCH", api, { data: { other: "theirs" } }, "application/merge-patch+json");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("alert")).toContainText("the object has been modified");
  await page.getByRole("button", { name: /load the newest/ }).click();
  await expect(page.getByLabel("YAML", { exact: true })).toContainText("other: theirs");
  await page.getByRole("button", { name: "Edit" }).click();
  await editor.fill((await editor.inputValue()).replace("key: hello", "key: mine"));
  await page.getByRole("button", { name: "Review" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("link", { name: "Overview" }).click();
  await expect(page.getByText("mine", { exact: true })).toBeVisible();
  await expect(page.getByText("theirs", { exact: true })).toBeVisible();
});

test("a Secret's values are shown only when they are asked for", async ({ page }) => {
  const heard: string[] = [];
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => heard.push(String(payload))));
  await open(page, objectPlace("core/v1", "secrets", "settings"));
  await expect(page.getByText("hidden")).toBeVisible();
  expect(heard.join()).not.toContain(Buffer.from("tiger").toString("base64"));
  await page.getByRole("button", { name: "Show values" }).click();
  await expect(page.getByText("tiger")).toBeVisible();
  await page.getByRole("button", { name: "Hide values" }).click();
  await expect(page.getByText("tiger")).toBeHidden();
  await page.getByRole("link", { name: "YAML" }).click();
  await expect(page.getByText("has its values in it")).toBeVisible();
});
