/** Which container of a pod is meant. */

import { useState } from "preact/hooks";
import type { Pod } from "../cluster/objects";

const DEFAULT = "kubectl.kubernetes.io/default-container";

function names(pod: Pod): string[] {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map((container) => container.name);
}

/** The chosen container: at first the wanted one, else the pod's default, else its first. */
export function useContainer(pod: Pod, wanted: string | undefined): [string, (name: string) => void] {
  const [chosen, choose] = useState(wanted);
  const all = names(pod);
  const first = pod.metadata.annotations?.[DEFAULT] ?? all[0] ?? "";
  return [chosen !== undefined && all.includes(chosen) ? chosen : first, choose];
}

export function ContainerChoice({ pod, current, onChoose }: { pod: Pod; current: string; onChoose: (name: string) => void }) {
  return (
    <label class="inline">
      <span>Container</span>
      <select value={current} onChange={(event) => onChoose(event.currentTarget.value)}>
        {names(pod).map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
