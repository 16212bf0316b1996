/** What the viewer has chosen for this browser. */

export type Scheme = "auto" | "light" | "dark";

function read(key: string): string | null {
  try {
    return localStorage.getItem(`dashboard.${key}`);
  } catch {
    // The browser keeps nothing for this page; it works without.
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(`dashboard.${key}`, value);
  } catch {
    // As above: the choice lasts until the page is closed.
  }
}

export function scheme(): Scheme {
  const kept = read("scheme");
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function setScheme(chosen: Scheme): void {
  write("scheme", chosen);
  applyScheme(chosen);
}

export function applyScheme(chosen: Scheme): void {
  document.documentElement.dataset.scheme = chosen;
  dispatchEvent(new Event("scheme"));
}

export function keptNamespace(): string | null {
  return read("namespace");
}

export function keepNamespace(namespace: string): void {
  write("namespace", namespace);
}

/** Whether single letters do something. */
export function letterKeys(): boolean {
  return read("letter-keys") !== "off";
}

export function setLetterKeys(on: boolean): void {
  write("letter-keys", on ? "on" : "off");
}
