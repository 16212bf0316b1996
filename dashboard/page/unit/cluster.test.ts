import assert from "node:assert/strict";
import { test } from "node:test";
import { kindOf, linkTo, linkToReference, pathOf } from "../src/cluster/kinds";
import type { ControllerRevision, EndpointSlice, KubeEvent, Node, Pod, PodDisruptionBudget, Service, Workload } from "../src/cluster/objects";
import { previewDrain } from "../src/logic/drain";
import { endpointsOf, forwarding } from "../src/logic/forwarding";
import { nodeState, roles } from "../src/logic/labels";
import { countLooks, podState } from "../src/logic/podstate";
import { KEEP, progress, record, type Revision, revisions, stack } from "../src/logic/rollout";
import { matches } from "../src/logic/selector";
import { different } from "../src/logic/squares";
import { along, latestFirst } from "../src/logic/timeline";
import { evict, kindOfObject, remove, rollBackDeployment, scale } from "../src/actions/requests";

function meta(name: string, more: object = {}) {
  return { name, namespace: "shop", uid: `uid-${name}`, creationTimestamp: "2026-01-01T00:00:00Z", ...more };
}

function pod(name: string, more: { metadata?: object; spec?: object; status?: object } = {}): Pod {
  return {
    metadata: meta(name, more.metadata),
    spec: { containers: [{ name: "main" }], ...more.spec },
    status: { phase: "Running", ...more.status },
  };
}

const owner = (kind: string, name: string) => ({ ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: `uid-${name}`, controller: true }] });
const running = { name: "main", ready: true, restartCount: 2, image: "i", state: { running: {} } };
const READY = { conditions: [{ type: "Ready", status: "True" }] };

test("only squares that look different are painted anew", () => {
  const before = { looks: ["ready", "ready", "failing"] as ("ready" | "failing")[], width: 100, height: 11, perRow: 7, scheme: 0 };
  assert.equal(different(before, undefined), "all");
  assert.deepEqual(different({ ...before, looks: ["ready", "failing", "failing"] }, before), [1]);
  assert.deepEqual(different({ ...before }, before), []);
  assert.equal(different({ ...before, looks: ["ready", "ready"] }, before), "all");
  for (const change of [{ width: 99 }, { height: 25 }, { perRow: 6 }, { scheme: 1 }]) assert.equal(different({ ...before, ...change }, before), "all");
});

test("a pod's state is the word that kubectl prints", () => {
  const waiting = (reason: string) => ({ ...running, ready: false, state: { waiting: { reason } } });
  const ended = (exitCode: number, reason?: string) => ({ ...running, ready: false, state: { terminated: { exitCode, reason } } });
  const cases: [object, string, string][] = [
    [{ containerStatuses: [running], ...READY }, "Running", "ready"],
    [{ containerStatuses: [{ ...running, ready: false }] }, "Running", "starting"],
    [{ phase: "Pending", containerStatuses: [waiting("ContainerCreating")] }, "ContainerCreating", "starting"],
    [{ phase: "Pending", containerStatuses: [waiting("ImagePullBackOff")] }, "ImagePullBackOff", "failing"],
    [{ containerStatuses: [waiting("CrashLoopBackOff")] }, "CrashLoopBackOff", "failing"],
    [{ containerStatuses: [ended(1, "Error")] }, "Error", "failing"],
    [{ containerStatuses: [ended(3)] }, "ExitCode:3", "failing"],
    [{ phase: "Succeeded", containerStatuses: [ended(0, "Completed")] }, "Completed", "done"],
    [{ phase: "Failed", reason: "Evicted" }, "Evicted", "failing"],
    [{ phase: "Pending", initContainerStatuses: [{ ...running, name: "init", ready: false }] }, "Init:0/1", "starting"],
    [{ phase: "Pending", initContainerStatuses: [{ ...waiting("CrashLoopBackOff"), name: "init" }] }, "Init:CrashLoopBackOff", "failing"],
    [{ phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated" }] }, "SchedulingGated", "starting"],
  ];
  for (const [status, word, look] of cases) {
    const state = podState(pod("a", { status, spec: { initContainers: [{ name: "init" }] } }));
    assert.deepEqual([state.word, state.look], [word, look]);
  }
  assert.equal(podState(pod("a", { metadata: { deletionTimestamp: "x" } })).word, "Terminating");
  const state = podState(pod("a", { status: { containerStatuses: [running], ...READY } }));
  assert.deepEqual([state.ready, state.containers, state.restarts], [1, 1, 2]);
});

test("a sidecar counts among the containers", () => {
  const sidecar = pod("a", {
    spec: { initContainers: [{ name: "side", restartPolicy: "Always" }] },
    status: { containerStatuses: [running], initContainerStatuses: [{ ...running, name: "side", started: true }], ...READY },
  });
  const state = podState(sidecar);
  assert.deepEqual([state.word, state.ready, state.containers], ["Running", 2, 2]);
});

test("selectors", () => {
  assert.ok(matches({}, { a: "1" }));
  assert.ok(!matches(undefined, { a: "1" }));
  assert.ok(matches({ matchLabels: { a: "1" } }, { a: "1", b: "2" }));
  const by = (operator: string, values?: string[]) => ({ matchExpressions: [{ key: "a", operator, values }] });
  assert.ok(matches(by("In", ["1", "2"]), { a: "1" }));
  assert.ok(!matches(by("NotIn", ["1"]), { a: "1" }));
  assert.ok(matches(by("NotIn", ["1"]), {}));
  assert.ok(matches(by("Exists"), { a: "" }));
  assert.ok(matches(by("DoesNotExist"), {}));
});

function workload(kind: string, spec: object, status: object): Workload {
  return { kind, metadata: meta("web", { generation: 2 }), spec: { template: { spec: { containers: [] } }, ...spec }, status: { observedGeneration: 2, ...status } };
}

test("how far a rollout is", () => {
  const words = (kind: string, spec: object, status: object) => progress(workload(kind, spec, status));
  assert.match(words("Deployment", {}, { observedGeneration: 1 }).words, /observed/);
  assert.equal(words("Deployment", { replicas: 3 }, { updatedReplicas: 1, replicas: 4 }).words, "1 of 3 replicas updated");
  assert.equal(words("Deployment", { replicas: 3 }, { updatedReplicas: 3, replicas: 4 }).words, "1 old replicas still to end");
  assert.equal(words("Deployment", { replicas: 3 }, { updatedReplicas: 3, replicas: 3, availableReplicas: 2 }).words, "2 of 3 updated replicas available");
  assert.ok(words("Deployment", { replicas: 3 }, { updatedReplicas: 3, replicas: 3, availableReplicas: 3 }).done);
  const stuck = { conditions: [{ type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded", message: "m" }] };
  assert.match(words("Deployment", { replicas: 3 }, stuck).words, /deadline/);
  assert.ok(!words("DaemonSet", {}, { desiredNumberScheduled: 2, updatedNumberScheduled: 1 }).done);
  assert.ok(words("DaemonSet", {}, { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 2 }).done);
  assert.ok(!words("StatefulSet", { replicas: 2 }, { readyReplicas: 1 }).done);
  assert.ok(!words("StatefulSet", { replicas: 2 }, { readyReplicas: 2, updatedReplicas: 1, currentRevision: "a", updateRevision: "b" }).done);
});

test("pods belong to their revisions", () => {
  const deployment = workload("Deployment", {}, {});
  const set = (name: string, number: number, replicas: number): Workload => ({
    metadata: meta(name, { ...owner("Deployment", "web"), annotations: { "deployment.kubernetes.io/revision": String(number) } }),
    spec: { replicas, template: { spec: { containers: [] } } },
  });
  const pods = [pod("a", { metadata: owner("ReplicaSet", "new"), status: READY }), pod("b", { metadata: owner("ReplicaSet", "old") }), pod("c")];
  const list = revisions(deployment, [set("old", 1, 1), set("new", 2, 1), set("older", 0, 0)], pods);
  assert.deepEqual(
    list.map(({ name, number, current, ready, pods }) => [name, number, current, ready, pods.length]),
    [
      ["new", 2, true, 1, 1],
      ["old", 1, false, 0, 1],
    ],
  );
  const stateful = workload("StatefulSet", {}, {});
  const revision = (hash: string, number: number): ControllerRevision => ({ metadata: meta(`web-${hash}`, owner("StatefulSet", "web")), revision: number });
  const labelled = (name: string, hash: string) => pod(name, { metadata: { ...owner("StatefulSet", "web"), labels: { "controller-revision-hash": hash } } });
  const byHash = revisions(stateful, [], [labelled("web-0", "web-x"), labelled("web-1", "web-y")], [revision("x", 1), revision("y", 2)]);
  assert.deepEqual(
    byHash.map(({ number, current }) => [number, current]),
    [
      [2, true],
      [1, false],
    ],
  );
});

test("samples are kept when something changes, and for a while", () => {
  const at = (ready: number): Revision[] => [{ name: "a", number: 1, current: true, pods: [], ready }];
  const one = record([], 1000, at(1));
  assert.equal(record(one, 2000, at(1)), one);
  const two = record(one, 3000, at(2));
  assert.deepEqual(two.map((sample) => sample.ready.a), [1, 2]);
  const later = record(record(two, 4000, at(3)), 5000 + KEEP, at(4));
  assert.deepEqual(later.map((sample) => sample.at), [4000, 5000 + KEEP]);
  assert.deepEqual(stack([{ at: 0, ready: { a: 1, b: 2 } }], ["a", "b"], 10)[1]?.edges, [
    [0, 1, 3],
    [10, 1, 3],
  ]);
});

test("what a drain would do", () => {
  const node: Node = { metadata: meta("n"), spec: {} };
  const here = (name: string, more: { metadata?: object; spec?: object; status?: object } = {}) => pod(name, { ...more, spec: { nodeName: "n", ...more.spec } });
  const labelled = (name: string) => here(name, { metadata: { ...owner("ReplicaSet", "rs"), labels: { app: "db" } } });
  const budget: PodDisruptionBudget = { metadata: meta("db"), spec: { selector: { matchLabels: { app: "db" } } }, status: { disruptionsAllowed: 1 } };
  const steps = previewDrain(
    node,
    [
      pod("elsewhere", { spec: { nodeName: "m" } }),
      here("daemon", { metadata: owner("DaemonSet", "ds") }),
      here("static", { metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } }),
      here("alone", { spec: { volumes: [{ name: "cache", emptyDir: {} }] } }),
      here("plain", { metadata: owner("ReplicaSet", "rs") }),
      labelled("db-1"),
      labelled("db-2"),
      here("done", { status: { phase: "Succeeded" } }),
    ],
    [budget],
  );
  const fates = Object.fromEntries(steps.map((step) => [step.pod.metadata.name, step.fate]));
  assert.deepEqual(fates, {
    alone: "deleted for good",
    "db-2": "waits",
    plain: "evicted",
    "db-1": "evicted",
    done: "evicted",
    daemon: "stays",
    static: "stays",
  });
  const alone = steps[0];
  assert.equal(alone?.pod.metadata.name, "alone");
  assert.ok(alone?.losesData);
  assert.match(alone?.why ?? "", /cache/);
});

const service = (spec: object): Service => ({ metadata: meta("web"), spec });
const slice: EndpointSlice = {
  metadata: meta("web-1", { labels: { "kubernetes.io/service-name": "web" } }),
  ports: [{ port: 8080 }],
  endpoints: [
    { addresses: ["10.0.0.1"], nodeName: "a", targetRef: { kind: "Pod", name: "p" } },
    { addresses: ["10.0.0.2"], nodeName: "b", conditions: { ready: false } },
  ],
};

test("which node forwards where", () => {
  const nodes = ["b", "a"].map((name): Node => ({ metadata: meta(name), spec: {} }));
  const targets = (spec: object) =>
    forwarding(service(spec), endpointsOf(service(spec), [slice]), nodes).map((way) => [
      way.node,
      way.inside.map((endpoint) => endpoint.address).join(),
      way.outside?.map((endpoint) => endpoint.address).join(),
    ]);
  assert.deepEqual(targets({}), [
    ["a", "10.0.0.1", undefined],
    ["b", "10.0.0.1", undefined],
  ]);
  assert.deepEqual(targets({ type: "NodePort", externalTrafficPolicy: "Local" }), [
    ["a", "10.0.0.1", "10.0.0.1"],
    ["b", "10.0.0.1", ""],
  ]);
  assert.deepEqual(targets({ internalTrafficPolicy: "Local" }), [
    ["a", "10.0.0.1", undefined],
    ["b", "", undefined],
  ]);
});

test("events are placed along their time", () => {
  const event = (name: string, at: string, more: object = {}): KubeEvent => ({ metadata: meta(name), involvedObject: {}, lastTimestamp: at, firstTimestamp: at, ...more });
  const moments = latestFirst([
    event("first", "2026-01-01T00:00:10Z"),
    event("last", "2026-01-01T00:00:30Z", { count: 4 }),
    event("new", "", { lastTimestamp: null, firstTimestamp: null, eventTime: "2026-01-01T00:00:20Z" }),
  ]);
  assert.deepEqual(moments.map(({ event, times }) => [event.metadata.name, times]), [["last", 4], ["new", 1], ["first", 1]]);
  assert.deepEqual(along(moments).map(({ place }) => place), [1, 0.5, 0]);
});

test("nodes in words", () => {
  const node: Node = {
    metadata: meta("n", { labels: { "node-role.kubernetes.io/control-plane": "" } }),
    spec: { unschedulable: true },
    status: { conditions: [{ type: "Ready", status: "True" }, { type: "MemoryPressure", status: "True" }] },
  };
  assert.deepEqual(nodeState(node), { ready: true, words: ["Ready", "SchedulingDisabled"], pressure: ["MemoryPressure"] });
  assert.equal(roles(node), "control-plane");
});

test("paths and links", () => {
  assert.equal(pathOf(kindOf("pods")), "/api/v1/pods");
  assert.equal(pathOf(kindOf("deployments"), "shop", "web", "scale"), "/apis/apps/v1/namespaces/shop/deployments/web/scale");
  assert.equal(pathOf(kindOf("nodes"), "shop", "n"), "/api/v1/nodes/n");
  assert.equal(linkTo(kindOf("nodes"), undefined, "n", "yaml"), "#/object/core/v1/nodes/_/n?tab=yaml");
  assert.equal(linkToReference({ kind: "Unknown", name: "x" }), undefined);
});

test("what actions send", () => {
  const deployment = workload("Deployment", { replicas: 1 }, {});
  assert.deepEqual(scale(kindOf("deployments"), deployment, 3).call.body, { spec: { replicas: 3 } });
  const set: Workload = {
    metadata: meta("web-1"),
    spec: { template: { metadata: { labels: { app: "web", "pod-template-hash": "1" } }, spec: { containers: [] } } },
  };
  const [test, replace] = rollBackDeployment(deployment, set).call.body as { op: string; value: unknown }[];
  assert.equal(test?.value, "uid-web");
  assert.deepEqual(replace?.value, { metadata: { labels: { app: "web" } }, spec: { containers: [] } });
  assert.match(evict(pod("a")).path, /\/pods\/a\/eviction$/);
  assert.deepEqual((remove(kindOf("pods"), pod("a")).call.body as { preconditions: object }).preconditions, { uid: "uid-a" });
  const object = { apiVersion: "apps/v1", kind: "Deployment", metadata: meta("web") };
  assert.equal(kindOfObject(object, [kindOf("pods"), kindOf("deployments")])?.plural, "deployments");
});

test("pods are counted by how they look", () => {
  const ready = { conditions: [{ type: "Ready", status: "True" }], containerStatuses: [running] };
  const pods = [pod("a", { status: ready }), pod("b", { status: ready }), pod("c", { status: { phase: "Failed" } })];
  assert.deepEqual([...countLooks(pods)], [["ready", 2], ["failing", 1]]);
});
