/** Who looks, and at which cluster. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { own, type Status } from "./api";

export interface Session {
  mode: "local" | "serve";
  loginNeeded: boolean;
  user: { username: string; groups?: string[] } | null;
  version: string;
  cluster: { name: string | null; server: string; version: string | null };
  namespace: string;
  error: Status | null;
}

export function session(): Promise<Session> {
  return own<Session>("session");
}

export function login(token: string): Promise<Session> {
  return own<Session>("session", { method: "POST", body: { token } });
}

export function logout(): Promise<void> {
  return own<void>("session", { method: "DELETE" });
}

/** What every view is drawn for. */
export interface Scope {
  session: Session;
  /** The chosen namespace; empty for all. */
  namespace: string;
  chooseNamespace: (namespace: string) => void;
}

const Context = createContext<Scope | undefined>(undefined);
export const ScopeProvider = Context.Provider;

export function useScope(): Scope {
  const scope = useContext(Context);
  if (scope === undefined) throw new Error("no scope is set above this component");
  return scope;
}
