/** A Deployment's life: created, rolled out, scaled, restarted, rolled back, deleted. */

import { expect, kube, NAMESPACE, objectPlace, open, test } from "./lab";

const PLACE = objectPlace("apps/v1", "deployments", "web");
const API = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/web`;

const MANIFEST = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: busybox:1.36
        command: [sh, -c, "trap exit TERM; sleep 1000000 & wait"]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: beside}
data: {key: value}
`;

test.describe.configure({ mode: "serial" });

test("it is created from YAML after a dry run", async ({ page }) => {
  await open(page, "create");
  await expect(page.getByLabel(/^Namespace, /)).toHaveValue(NAMESPACE);
  const yaml = page.getByLabel("YAML");
  await yaml.fill("kind: [");
  await page.getByRole("button", { name: "Review" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await yaml.fill(MANIFEST.replace("replicas: 2", "replicas: -2"));
  await page.getByRole("button", { name: "Review" }).click();
  await expect(page.getByRole("alert")).toContainText("must be greater than or equal to 0");
  await expect(page.getByRole("button", { name: "Create" })).toBeDisabled();
  await page.getByRole("button", { name: "Back" }).click();
  await yaml.fill(MANIFEST);
  await page.getByRole("button", { name: "Review" }).click();
  await expect(page.getByText("would be created")).toHaveCount(2);
  await expect(page.getByText("+   progressDeadlineSeconds: 600")).toBeVisible();
  const before = await page.request.get(`k8s${API}`);
  expect(before.status()).toBe(404);
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("link", { name: "Look at Deployment web" }).click();
  await expect(page.getByText("all 2 replicas updated and available")).toBeVisible();
});

test("applied again, only the difference is shown", async ({ page }) => {
  const beside = `/api/v1/namespaces/${NAMESPACE}/configmaps/beside`;
  await open(page, "create");
  await kube(page, "PATCH", beside, { data: { key: "theirs" } }, "application/merge-patch+json");
  await page.getByLabel("YAML").fill(MANIFEST.replace("key: value", "key: other"));
  await page.getByRole("button", { name: "Review" }).click();
  await expect(page.getByText("+   key: other")).toBeVisible();
  await expect(page.getByText("-   key: theirs")).toBeVisible();
  await expect(page.getByText("Nothing would change.")).toBeVisible();
  await expect(page.getByRole("alert")).toContainText("conflict");
  await page.getByLabel("Take over the fields").check();
  await page.getByRole("button", { name: "Apply" }).click();
  await expect(page.getByText("applied").first()).toBeVisible();
});

test("it is scaled", async ({ page }) => {
  await open(page, PLACE);
  await page.getByRole("button", { name: "Scale…" }).click();
  await page.getByLabel(/^Replicas/).fill("3");
  await page.getByRole("button", { name: "Scale", exact: true }).click();
  await expect(page.getByText("3 ready, 3 desired")).toBeVisible();
});

test("a rollout is drawn as it happens, and can be taken back", async ({ page }) => {
  await open(page, PLACE);
  await expect(page.getByText("Revision 1")).toBeVisible();
  await page.getByRole("button", { name: "Restart…" }).click();
  await page.getByRole("button", { name: "Restart", exact: true }).click();
  await expect(page.getByText("Revision 2")).toBeVisible();
  await expect(page.getByText("all 3 replicas updated and available")).toBeVisible();
  const timeline = page.getByRole("img", { name: /^Ready pods of each revision/ });
  await expect(timeline.locator("path").first()).toHaveAttribute("d", /^M.*Z$/);
  await page.getByRole("button", { name: "Roll back…" }).click();
  await expect(page.getByLabel("Changes")).toContainText("restartedAt");
  await page.getByRole("button", { name: "Roll back", exact: true }).click();
  await expect(page.getByText("Revision 3")).toBeVisible();
  await expect(page.getByText("all 3 replicas updated and available")).toBeVisible();
});

test("it is paused and goes on", async ({ page }) => {
  await open(page, PLACE);
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
  await expect(page.getByText(/^paused/).first()).toBeVisible();
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
});

test("it is listed, and deleted only when that is confirmed", async ({ page }) => {
  await open(page, "workloads/deployments");
  await page.getByLabel("Filter Deployment").fill("web");
  await page.getByRole("link", { name: "web", exact: true }).click();
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page.getByRole("button", { name: "Delete…" })).toBeFocused();
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.getByText("There is no Deployment of this name (any more).")).toBeVisible();
});

test("a CronJob runs now, and is suspended", async ({ page }) => {
  await open(page, objectPlace("batch/v1", "cronjobs", "nightly"));
  await page.getByRole("button", { name: "Run now" }).click();
  await page.getByRole("link", { name: /^nightly-manual-/ }).click();
  await expect(page.getByText("complete", { exact: true }).first()).toBeVisible();
  await page.goBack();
  await page.getByRole("button", { name: "Suspend" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
});

test("custom resources have tables and YAML", async ({ page }) => {
  const definition = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `gadgets.${NAMESPACE}.example.com` },
    spec: {
      group: `${NAMESPACE}.example.com`,
      names: { plural: "gadgets", singular: "gadget", kind: "Gadget" },
      scope: "Namespaced",
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties: { size: { type: "string" } } } } } },
          additionalPrinterColumns: [{ name: "Size", type: "string", jsonPath: ".spec.size" }],
        },
      ],
    },
  };
  const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  await kube(page, "POST", definitions, definition);
  try {
    await open(page, "create");
    await page.getByLabel("YAML").fill(`apiVersion: ${NAMESPACE}.example.com/v1\nkind: Gadget\nmetadata: {name: one}\nspec: {size: enormous}\n`);
    await expect(async () => {
      await page.getByRole("button", { name: "Review" }).click();
      const created = page.getByRole("button", { name: "Create" });
      await expect(created.or(page.getByRole("alert"))).toBeVisible();
      if (await page.getByRole("alert").isVisible()) await page.getByRole("button", { name: "Back" }).click();
      await expect(created).toBeVisible({ timeout: 500 });
    }).toPass();
    await page.getByRole("button", { name: "Create" }).click();
    await expect(page.getByText("created", { exact: true })).toBeVisible();
    await page.goto(`#/resources/${NAMESPACE}.example.com/gadgets`);
    await expect(page.getByRole("columnheader", { name: "Size" })).toBeVisible();
    await expect(page.getByRole("cell", { name: "enormous" })).toBeVisible();
    await page.getByRole("link", { name: "one", exact: true }).click();
    await page.getByRole("link", { name: "YAML" }).click();
    await expect(page.getByLabel("YAML", { exact: true })).toContainText("size: enormous");
  } finally {
    await kube(page, "DELETE", `${definitions}/${definition.metadata.name}`);
  }
});
