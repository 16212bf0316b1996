"""The official Python client: list, create, watch, patch, exec, logs, delete."""

import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

namespace, pod = sys.argv[1:]
config.load_kube_config()
core = client.CoreV1Api()

assert client.VersionApi().get_code().major == "1"
nodes = core.list_node().items
assert len(nodes) >= 2, nodes
assert all(node.status.node_info.kubelet_version.startswith("v1.") for node in nodes)

page = core.list_namespaced_config_map(namespace, limit=1)
seen = [item.metadata.name for item in page.items]
while page.metadata._continue:
    page = core.list_namespaced_config_map(
        namespace, limit=1, _continue=page.metadata._continue
    )
    seen += [item.metadata.name for item in page.items]
assert "kube-root-ca.crt" in seen, seen

start = core.list_namespaced_config_map(namespace).metadata.resource_version
body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="python"), data={"a": "1"})
core.create_namespaced_config_map(namespace, body)
core.patch_namespaced_config_map("python", namespace, {"data": {"a": "2"}})
core.delete_namespaced_config_map("python", namespace)
events = []
for event in watch.Watch().stream(
    core.list_namespaced_config_map,
    namespace,
    resource_version=start,
    field_selector="metadata.name=python",
    timeout_seconds=20,
):
    events.append((event["type"], event["object"].data["a"]))
    if event["type"] == "DELETED":
        break
assert events == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")], events

try:
    core.read_namespaced_config_map("python", namespace)
    raise AssertionError("it should be gone")
except ApiException as error:
    assert error.status == 404, error

told = stream(
    core.connect_get_namespaced_pod_exec,
    pod,
    namespace,
    command=["sh", "-c", "echo out; echo err >&2"],
    stdout=True,
    stderr=True,
    stdin=False,
    tty=False,
)
assert "out" in told and "err" in told, told
assert "hello" in core.read_namespaced_pod_log(pod, namespace)
print("all fine")
