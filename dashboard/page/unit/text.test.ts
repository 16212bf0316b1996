import assert from "node:assert/strict";
import { test } from "node:test";
import { age, duration } from "../src/logic/age";
import { bytes, cpu, quantity, usage } from "../src/logic/quantity";
import { keeps, score, search } from "../src/logic/search";
import { parseRoute, withQuery } from "../src/logic/route";
import { diff, fold } from "../src/logic/diff";
import { LogLines, matching, MOST_LINES, parts } from "../src/logic/logs";
import { fromYaml, toYaml } from "../src/logic/manifest";
import { example } from "../src/logic/examples";
import { detailsOf, objectOf, StepReader, took } from "../src/logic/steps";
import { warningsOf } from "../src/cluster/api";
import { inWords } from "../src/cluster/permissions";

test("durations are those of kubectl", () => {
  const second = 1000;
  const cases: [number, string][] = [
    [-5, "0s"],
    [119 * second, "119s"],
    [120 * second, "2m"],
    [190 * second, "3m10s"],
    [599 * second, "9m59s"],
    [600 * second, "10m"],
    [3 * 3600 * second, "3h"],
    [7 * 3600 * second + 130 * second, "7h2m"],
    [47 * 3600 * second, "47h"],
    [48 * 3600 * second, "2d"],
    [51 * 3600 * second, "2d3h"],
    [400 * 86_400 * second, "400d"],
  ];
  for (const [milliseconds, text] of cases) assert.equal(duration(milliseconds), text);
  assert.equal(age(undefined, 0), "never");
  assert.equal(age("1970-01-01T00:00:00Z", 5000), "5s");
});

test("quantities", () => {
  const cases: [string, number | undefined][] = [
    ["250m", 0.25],
    ["2", 2],
    ["1Gi", 2 ** 30],
    ["1.5Ki", 1536],
    ["1k", 1000],
    ["1e3", 1000],
    ["12E", 12e18],
    ["123456789n", 0.123456789],
    ["", undefined],
    ["1 Gi", undefined],
    ["Gi", undefined],
  ];
  for (const [text, value] of cases) assert.equal(quantity(text), value, text);
  assert.equal(cpu(0.25), "250m");
  assert.equal(cpu(1.5), "1.50");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(64 * 2 ** 20), "64 MiB");
  const metrics = { containers: [{ usage: { cpu: "5m", memory: "1Mi" } }, { usage: { cpu: "10m", memory: "2Mi" } }] };
  assert.deepEqual(usage(metrics), { cpu: 0.015, memory: 3 * 2 ** 20 });
});

test("search prefers whole words at the beginning", () => {
  const names = ["kube-web-2", "web", "database-webhook", "w-e-b"];
  assert.deepEqual(search("web", names, (name) => name, 10), ["web", "kube-web-2", "database-webhook", "w-e-b"]);
  assert.deepEqual(search("zz", names, (name) => name, 10), []);
  assert.deepEqual(search("web kube", names, (name) => name, 10), ["kube-web-2"]);
  assert.equal(score("bew", "web"), undefined);
  assert.ok(keeps("run web", "web-1 Running"));
  assert.ok(!keeps("run db", "web-1 Running"));
});

test("addresses", () => {
  assert.deepEqual(parseRoute(""), { view: "cluster", parts: [], query: {} });
  assert.deepEqual(parseRoute("#/object/core/v1/pods/shop/web%2F1?tab=logs"), {
    view: "object",
    parts: ["core", "v1", "pods", "shop", "web/1"],
    query: { tab: "logs" },
  });
  assert.equal(parseRoute("#/%zz").view, "%zz");
  assert.equal(withQuery("#/pods?a=1&b=2", { a: "", c: "3" }), "#/pods?b=2&c=3");
});

test("a difference has every line, and only what changed is marked", () => {
  const lines = diff("a\nb\nc\nd", "a\nx\nc\nd\ne");
  assert.deepEqual(
    lines.map((line) => line.sign + line.text),
    [" a", "-b", "+x", " c", " d", "+e"],
  );
  assert.deepEqual(diff("", "a"), [{ sign: "+", text: "a" }]);
  assert.deepEqual(diff("a", "a"), [{ sign: " ", text: "a" }]);
  const many = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  const changed = many.map((line, index) => (index === 50 ? "other" : line));
  const folded = fold(diff(many.join("\n"), changed.join("\n")));
  assert.deepEqual(folded[0], { hidden: 47 });
  assert.deepEqual(folded.at(-1), { hidden: 46 });
  assert.equal(folded.length, 10);
});

test("a log in pieces becomes lines", () => {
  const log = new LogLines();
  log.add("one\ntw");
  log.add("o\r\n\x1b[31mred\x1b[0m\nrest");
  assert.deepEqual(log.lines, ["one", "two", "red"]);
  log.end();
  assert.deepEqual(log.lines, ["one", "two", "red", "rest"]);
  log.add("x\n".repeat(MOST_LINES));
  assert.equal(log.lines.length, MOST_LINES);
  assert.equal(log.dropped, 4);
  assert.deepEqual(parts("Error: an error", "error"), ["", "Error", ": an ", "error", ""]);
  assert.deepEqual(matching(["a", "B", "ab"], "b"), [1, 2]);
});

test("YAML is read with its mistakes named", () => {
  const two = fromYaml("apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: B, metadata: {name: b}}\n");
  assert.deepEqual(two.map((object) => object.kind), ["A", "B"]);
  assert.throws(() => fromYaml("a: [1"), /flow|end of the stream/);
  assert.throws(() => fromYaml(""), /no object/);
  assert.throws(() => fromYaml("- 1"), /no mapping/);
  assert.throws(() => fromYaml("kind: A"), /no apiVersion/);
  assert.throws(() => fromYaml("apiVersion: v1\nkind: A\nmetadata: {}"), /no metadata.name/);
  const text = toYaml({ apiVersion: "v1", metadata: { name: "a", managedFields: [{}] } });
  assert.equal(text, "apiVersion: v1\nmetadata:\n  name: a\n");
  for (const kind of ["Deployment", "Service", "Job", "CronJob", undefined]) {
    assert.equal(fromYaml(example(kind))[0]?.kind, kind ?? "Deployment");
  }
});

test("steps come in pieces", () => {
  const reader = new StepReader();
  const step = { type: "STEP", time: "2026-01-02T03:04:05.6Z", process: "kubelet", resource: "pods", name: "web", what: "sandbox", details: { attempt: "0", pid: "1" } };
  const line = `${JSON.stringify(step)}\n`;
  assert.deepEqual(reader.read(line.slice(0, 20)).steps, []);
  const read = reader.read(`${line.slice(20)}{"type":"SYNCED"}\nnonsense\n{"type":"LOST","count":3}\n{"type":"NEW"}\n`);
  assert.deepEqual(read, { steps: [step], synced: true, lost: 3 });
  assert.equal(objectOf(step), "pods/web");
  assert.equal(detailsOf(step), "attempt 0, pid 1");
  assert.deepEqual([took(0.0003), took(0.012), took(1.25)], ["0.3 ms", "12 ms", "1.25 s"]);
});

test("warnings of the API server", () => {
  assert.deepEqual(warningsOf('299 - "unknown field \\"x\\"", 299 - "deprecated"'), ['unknown field "x"', "deprecated"]);
  assert.deepEqual(warningsOf(""), []);
});

test("permissions in words", () => {
  assert.equal(inWords({ verb: "patch", group: "apps", resource: "deployments", subresource: "scale", namespace: "shop" }), "patch deployments/scale in shop");
  assert.equal(inWords({ verb: "delete", group: "", resource: "nodes" }), "delete nodes");
});
