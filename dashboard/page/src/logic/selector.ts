/** Label selectors. */

import type { LabelSelector } from "../cluster/objects";

type Labels = Record<string, string> | undefined;

/** Whether labels match; an empty selector matches everything, an absent one nothing. */
export function matches(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false;
  const of = labels ?? {};
  const all = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => of[key] === value);
  return all && (selector.matchExpressions ?? []).every((rule) => holds(rule, of));
}

function holds(rule: { key: string; operator: string; values?: string[] }, labels: Record<string, string>): boolean {
  const value = labels[rule.key];
  switch (rule.operator) {
    case "In":
      return value !== undefined && (rule.values ?? []).includes(value);
    case "NotIn":
      return value === undefined || !(rule.values ?? []).includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    default:
      return false;
  }
}
