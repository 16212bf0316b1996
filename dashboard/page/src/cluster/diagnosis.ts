/** What the engine of `hardway why` finds out. */

export interface Subject {
  kind: string;
  namespace?: string;
  name: string;
}

export interface Evidence {
  object: Subject;
  source: { type: "field" | "condition" | "event" | "log"; at: string } | { type: "comparison" };
  says: string;
  since?: string;
}

export interface Diagnosis {
  cause: string;
  subject: Subject;
  severity: "info" | "warning" | "error";
  summary: string;
  since?: string;
  evidence: Evidence[];
  remedies: { advice: string; command?: string }[];
  affected: Subject[];
}

export interface Explanation {
  subject: Subject;
  summary: string;
  causes: Diagnosis[];
  unread: { resource: string; reason: string }[];
}
