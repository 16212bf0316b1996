/** A Job, or a CronJob with its jobs. */

import { useMemo } from "preact/hooks";
import { type Kind, kindOf, linkTo, pathOf } from "../cluster/kinds";
import { useLive } from "../cluster/live";
import type { CronJob, Job, Pod } from "../cluster/objects";
import { duration } from "../logic/age";
import { ownedBy } from "../logic/rollout";
import { Age, Badge, Empty, Facts, ListState, Panel } from "../parts/basics";
import { PodTable } from "./pods";

export function JobDetails({ kind, object }: { kind: Kind; object: Job | CronJob }) {
  return kind.plural === "jobs" ? <OneJob job={object as Job} /> : <Schedule cronJob={object as CronJob} />;
}

function JobBadge({ job }: { job: Job }) {
  const has = (type: string) => job.status?.conditions?.some((condition) => condition.type === type && condition.status === "True");
  if (has("Failed")) return <Badge tone="bad">failed</Badge>;
  if (has("Complete")) return <Badge tone="good">complete</Badge>;
  if (job.spec.suspend) return <Badge tone="quiet">suspended</Badge>;
  return <Badge tone="busy">running</Badge>;
}

function took({ status = {} }: Job): string | undefined {
  if (!status.startTime || !status.completionTime) return undefined;
  return duration(Date.parse(status.completionTime) - Date.parse(status.startTime));
}

function OneJob({ job }: { job: Job }) {
  const pods = useLive<Pod>({ path: pathOf(kindOf("pods"), job.metadata.namespace) });
  const own = useMemo(() => pods.items.filter((pod) => ownedBy(pod, job.metadata.uid)), [pods.items, job.metadata.uid]);
  const { status = {}, spec } = job;
  return (
    <>
      <Panel title="Job">
        <Facts
          facts={[
            ["State", <JobBadge job={job} />],
            ["Succeeded", `${status.succeeded ?? 0} of ${spec.completions ?? 1}`],
            ["Running", String(status.active ?? 0)],
            ["Failed", String(status.failed ?? 0)],
            ["At once", String(spec.parallelism ?? 1)],
            ["Took", took(job)],
          ]}
        />
      </Panel>
      <Panel title="Pods" wide>
        <ListState listing={pods}>
          <PodTable label="Pods" pods={own} />
        </ListState>
      </Panel>
    </>
  );
}

function Schedule({ cronJob }: { cronJob: CronJob }) {
  const jobs = useLive<Job>({ path: pathOf(kindOf("jobs"), cronJob.metadata.namespace) });
  const own = useMemo(
    () =>
      jobs.items
        .filter((job) => ownedBy(job, cronJob.metadata.uid))
        .sort((one, other) => Date.parse(other.metadata.creationTimestamp) - Date.parse(one.metadata.creationTimestamp)),
    [jobs.items, cronJob.metadata.uid],
  );
  const { spec, status = {} } = cronJob;
  return (
    <>
      <Panel title="Schedule">
        <Facts
          facts={[
            ["Schedule", <code>{spec.schedule}</code>],
            ["Time zone", spec.timeZone ?? "the controller manager's"],
            ["Suspended", spec.suspend ? "yes" : "no"],
            ["Last run", <Age of={status.lastScheduleTime} />],
            ["Last success", <Age of={status.lastSuccessfulTime} />],
          ]}
        />
      </Panel>
      <Panel title="Jobs">
        <ListState listing={jobs}>
          {own.length === 0 && <Empty>None yet.</Empty>}
          <ul class="rows">
            {own.map((job) => (
              <li key={job.metadata.uid}>
                <a href={linkTo(kindOf("jobs"), job.metadata.namespace, job.metadata.name)}>{job.metadata.name}</a>
                <JobBadge job={job} />
                <Age of={job.metadata.creationTimestamp} />
              </li>
            ))}
          </ul>
        </ListState>
      </Panel>
    </>
  );
}
