/** The page's address: what stands behind `#/`. */

export interface Route {
  view: string;
  /** The parts of the path behind the view. */
  parts: string[];
  query: Record<string, string>;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [view = "", ...parts] = path.split("/").map(decode);
  return { view: view || "cluster", parts: parts.filter((part) => part !== ""), query: Object.fromEntries(new URLSearchParams(query)) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address with some of the query changed; an empty value takes an entry away. */
export function withQuery(hash: string, change: Record<string, string>): string {
  const { view, parts, query } = parseRoute(hash);
  const entries = Object.entries({ ...query, ...change }).filter(([, value]) => value !== "");
  const path = [view, ...parts].map(encodeURIComponent).join("/");
  return `#/${path}${entries.length > 0 ? `?${new URLSearchParams(entries)}` : ""}`;
}
