/** Objects as YAML, and YAML as objects. */

import { dump, loadAll } from "js-yaml";
import type { KubeObject } from "../cluster/objects";

/**
 * An object as people write it: without what only the API server's bookkeeping needs. The order of
 * fields is always the same, so that two of them can be compared.
 */
export function toYaml(object: unknown): string {
  return dump(withoutManagedFields(object), { lineWidth: -1, noRefs: true, sortKeys: true });
}

function withoutManagedFields(object: unknown): unknown {
  if (typeof object !== "object" || object === null || !("metadata" in object)) return object;
  const { managedFields: _, ...metadata } = object.metadata as Record<string, unknown>;
  return { ...object, metadata };
}

export class ManifestError extends Error {}

/** The objects of a YAML stream; lists are taken apart. Fails with where and why it is none. */
export function fromYaml(text: string): KubeObject[] {
  let documents: unknown[];
  try {
    documents = loadAll(text);
  } catch (error) {
    throw new ManifestError(error instanceof Error ? error.message : String(error));
  }
  const objects = documents.filter((document) => document !== null && document !== undefined).flatMap(takeApart);
  if (objects.length === 0) throw new ManifestError("there is no object in it yet");
  return objects;
}

function takeApart(document: unknown, index: number): KubeObject[] {
  const which = `object ${index + 1}`;
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw new ManifestError(`${which} is no mapping of fields`);
  }
  const object = document as Partial<KubeObject> & { items?: unknown };
  if (!object.apiVersion) throw new ManifestError(`${which} has no apiVersion`);
  if (!object.kind) throw new ManifestError(`${which} has no kind`);
  if (object.kind.endsWith("List") && Array.isArray(object.items)) return object.items.flatMap(takeApart);
  if (!object.metadata?.name && !(object.metadata as { generateName?: string } | undefined)?.generateName) {
    throw new ManifestError(`${which} (${object.kind}) has no metadata.name`);
  }
  return [object as KubeObject];
}
