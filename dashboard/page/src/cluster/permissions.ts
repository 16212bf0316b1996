/** What the viewer may do, as the API server says it (SelfSubjectAccessReview). */

import { useEffect, useState } from "preact/hooks";
import { kube } from "./api";
import type { Kind } from "./kinds";

export interface Permission {
  verb: string;
  group: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name?: string;
}

/** The permission to do something to an object of a kind. */
export function permission(verb: string, kind: Kind, namespace = "", name = "", subresource = ""): Permission {
  return {
    verb,
    group: kind.group,
    resource: kind.plural,
    ...(subresource === "" ? {} : { subresource }),
    ...(namespace === "" || !kind.namespaced ? {} : { namespace }),
    ...(name === "" ? {} : { name }),
  };
}

/** Answers are asked for anew after this time, in milliseconds. */
const FRESH = 30_000;
const answers = new Map<string, { at: number; allowed: Promise<boolean> }>();

export function forgetPermissions(): void {
  answers.clear();
}

export function mayI(wanted: Permission): Promise<boolean> {
  const key = JSON.stringify(wanted);
  const known = answers.get(key);
  if (known !== undefined && Date.now() - known.at < FRESH) return known.allowed;
  const allowed = kube<{ status?: { allowed?: boolean } }>("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    method: "POST",
    body: {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: wanted },
    },
  }).then(
    (review) => review.status?.allowed ?? false,
    // Where one can't ask, trying shows what the API server says.
    () => true,
  );
  answers.set(key, { at: Date.now(), allowed });
  return allowed;
}

/** Whether all of these are allowed; undefined until that is known. */
export function useMay(wanted: Permission[]): boolean | undefined {
  const [allowed, setAllowed] = useState<boolean | undefined>();
  const key = JSON.stringify(wanted);
  useEffect(() => {
    let here = true;
    setAllowed(undefined);
    void Promise.all((JSON.parse(key) as Permission[]).map(mayI)).then((all) => {
      if (here) setAllowed(all.every((one) => one));
    });
    return () => {
      here = false;
    };
  }, [key]);
  return allowed;
}

/** A permission in words: `delete pods in default`. */
export function inWords({ verb, resource, subresource, namespace }: Permission): string {
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  return `${verb} ${what}${namespace === undefined ? "" : ` in ${namespace}`}`;
}
