/** Requests to the dashboard's server, which passes them on with the viewer's own permission. */

export interface Status {
  kind: "Status";
  status?: string;
  message?: string;
  reason?: string;
  code?: number;
  details?: { causes?: { reason?: string; message?: string; field?: string }[] };
}

/** What the API server (or the dashboard before it) refused, in its own words. */
export class ApiError extends Error {
  constructor(
    readonly code: number,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

export function errorOf(status: Status): ApiError {
  return new ApiError(status.code ?? 0, status.reason ?? "", status.message ?? "refused without a reason");
}

let onLogout: () => void = () => undefined;

/** Says what to do when the server wants a login. */
export function whenLoggedOut(handler: () => void): void {
  onLogout = handler;
}

export const Media = {
  json: "application/json",
  mergePatch: "application/merge-patch+json",
  strategicPatch: "application/strategic-merge-patch+json",
  jsonPatch: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

export interface Call {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  contentType?: string;
  accept?: string;
  query?: Record<string, string>;
  signal?: AbortSignal;
}

/** How often reading is tried, and how long is waited between, in milliseconds. */
const TRIES = 3;
const PAUSE = 300;

/**
 * Sends a request. Browsers break off what is under way whenever an interface of the machine comes
 * or goes, which on a node each pod's does: so what only reads is tried again.
 */
async function reach(url: string, request: RequestInit): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetch(url, request);
    } catch (error) {
      if (request.signal?.aborted) throw error;
      if (request.method !== "GET" || attempt === TRIES) {
        throw new ApiError(0, "Unreachable", "the dashboard's server does not answer");
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE * attempt));
    }
  }
}

async function send(url: string, call: Call): Promise<Response> {
  const headers: Record<string, string> = { Accept: call.accept ?? Media.json, "X-Hardway-Dashboard": "1" };
  if (call.body !== undefined) headers["Content-Type"] = call.contentType ?? Media.json;
  const query = call.query === undefined ? "" : `?${new URLSearchParams(call.query)}`;
  const body = call.body === undefined ? undefined : typeof call.body === "string" ? call.body : JSON.stringify(call.body);
  const response = await reach(url + query, { method: call.method ?? "GET", headers, body, signal: call.signal });
  if (response.ok) return response;
  if (response.status === 401) onLogout();
  const text = await response.text();
  try {
    throw errorOf(JSON.parse(text) as Status);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(response.status, response.statusText, text || response.statusText);
  }
}

/** A request to the Kubernetes API at a path such as `/api/v1/nodes`; the answer's body, parsed. */
export async function kube<T = unknown>(path: string, call: Call = {}): Promise<T> {
  return (await (await send(`k8s${path}`, call)).json()) as T;
}

/** The same, with what the API server warns about, as kubectl prints it. */
export async function kubeWithWarnings<T>(path: string, call: Call): Promise<{ object: T; warnings: string[] }> {
  const response = await send(`k8s${path}`, call);
  return { object: (await response.json()) as T, warnings: warningsOf(response.headers.get("Warning") ?? "") };
}

/** The texts of a `Warning` header: `299 - "text", 299 - "text"`. */
export function warningsOf(header: string): string[] {
  return [...header.matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)].map((match) => (match[1] ?? "").replace(/\\(.)/g, "$1"));
}

/** Text that comes bit by bit, such as a log. */
export async function stream(path: string, query: Record<string, string>, signal: AbortSignal, onText: (text: string) => void): Promise<void> {
  const response = await send(`k8s${path}`, { accept: "*/*", query, signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onText(value);
  }
}

/** What the dashboard's server itself answers (`session`, `why`, `who-can`). */
export async function own<T>(path: string, call: Call = {}): Promise<T> {
  const response = await send(path, call);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The address of a WebSocket below the page's own. */
export function socketUrl(path: string): string {
  return new URL(path, document.baseURI).href.replace(/^http/, "ws");
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
