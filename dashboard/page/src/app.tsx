/** The frame around the views: navigation, namespace, search. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { whenLoggedOut, wordsOf } from "./cluster/api";
import { closeLive, useConnected, useLive } from "./cluster/live";
import { forgetPermissions } from "./cluster/permissions";
import { logout, type Scope, ScopeProvider, session as askSession, type Session } from "./cluster/session";
import { parseRoute, type Route } from "./logic/route";
import { Failure, Heading } from "./parts/basics";
import { Help, useKeys } from "./parts/keys";
import { Palette } from "./parts/palette";
import { keepNamespace, keptNamespace, scheme, type Scheme, setScheme } from "./parts/settings";
import { Toasts } from "./parts/toasts";
import { VIEWS } from "./views";
import { Login } from "./views/login";

export function App() {
  const [session, setSession] = useState<Session | undefined>();
  const [error, setError] = useState<string | undefined>();
  useEffect(() => {
    whenLoggedOut(() => {
      closeLive();
      forgetPermissions();
      setSession((before) => before && { ...before, loginNeeded: true, user: null });
    });
    askSession().then(setSession, (failure: unknown) => setError(wordsOf(failure)));
  }, []);
  if (error !== undefined) {
    return (
      <main class="login">
        <Failure>{error}</Failure>
      </main>
    );
  }
  if (session?.loginNeeded) return <Login onLogin={setSession} />;
  return <Frame session={session} onLogout={() => void logout().then(() => location.reload())} />;
}

function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const onChange = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  return route;
}

/** What is around the views. It is there at once; what needs to know who looks follows. */
function Frame({ session, onLogout }: { session: Session | undefined; onLogout: () => void }) {
  const route = useRoute();
  const [namespace, setNamespace] = useState(keptNamespace() ?? "");
  const [open, setOpen] = useState<"search" | "help" | undefined>();
  const [menu, setMenu] = useState(false);
  const scope = useMemo<Scope | undefined>(
    () =>
      session && {
        session,
        namespace,
        chooseNamespace: (chosen) => {
          keepNamespace(chosen);
          setNamespace(chosen);
        },
      },
    [session, namespace],
  );
  useKeys({ search: () => setOpen("search"), help: () => setOpen("help") });
  const place = `${route.view}/${route.parts.join("/")}`;
  const first = useRef(true);
  useEffect(() => {
    setMenu(false);
    // Who reads by ear hears where they are; at the very first the browser says so.
    if (!first.current) document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
    first.current = false;
    scrollTo(0, 0);
  }, [place]);
  const View = Object.hasOwn(VIEWS, route.view) ? VIEWS[route.view]?.component : undefined;
  return (
    <ScopeProvider value={scope}>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.querySelector<HTMLElement>("main")?.focus();
      }}>
        Skip to content
      </a>
      <div class="frame">
        <header class="bar">
          <button type="button" class="icon menu" aria-label="Menu" aria-expanded={menu} onClick={() => setMenu(!menu)}>
            ☰
          </button>
          <a class="brand" href="#/cluster">
            <i aria-hidden="true" />
            <span title={session?.cluster.name ?? undefined}>{clusterName(session)}</span>
          </a>
          {scope === undefined ? <NoChoice namespace={namespace} /> : <NamespaceChoice scope={scope} />}
          <button type="button" class="search" onClick={() => setOpen("search")}>
            <span>Search</span>
            <kbd>Ctrl K</kbd>
          </button>
          <Connection />
          <span class="user" title={session?.user?.groups?.join(", ")}>
            {session?.user?.username}
          </span>
          <SchemeChoice />
          <button type="button" class="icon" aria-label="Keys" onClick={() => setOpen("help")}>
            ?
          </button>
          {session?.mode === "serve" && (
            <button type="button" onClick={onLogout}>
              Log out
            </button>
          )}
        </header>
        <nav class={menu ? "side open" : "side"} aria-label="Views">
          {Object.entries(VIEWS).map(
            ([view, { text }]) =>
              text !== undefined && (
                <a key={view} href={`#/${view}`} aria-current={route.view === view ? "page" : undefined}>
                  {text}
                </a>
              ),
          )}
        </nav>
        <main id="main" tabIndex={-1} aria-busy={session === undefined}>
          {session?.error && <Failure>{session.error.message}</Failure>}
          {session !== undefined &&
            (View === undefined ? <Heading title="There is no such view" /> : <View key={route.view === "object" ? place : route.view} route={route} />)}
        </main>
      </div>
      {open === "search" && session !== undefined && <Palette onClose={() => setOpen(undefined)} />}
      {open === "help" && <Help onClose={() => setOpen(undefined)} />}
      <Toasts />
    </ScopeProvider>
  );
}

/** The context's name, without the user before it as in `admin@cluster`. */
function clusterName(session: Session | undefined): string {
  return session?.cluster.name?.replace(/^.*@/, "") ?? "Kubernetes";
}

/** In its place while nobody knows yet who looks. */
function NoChoice({ namespace }: { namespace: string }) {
  return (
    <select id="namespace" aria-label="Namespace" disabled>
      <option>{namespace || "All namespaces"}</option>
    </select>
  );
}

function NamespaceChoice({ scope }: { scope: Scope }) {
  const listing = useLive({ path: "/api/v1/namespaces", as: "metadata" });
  const names = useMemo(() => listing.items.map((item) => item.metadata.name).sort(), [listing.items]);
  const { namespace, chooseNamespace } = scope;
  if (listing.error !== undefined) {
    // One who may not list namespaces may know the name of theirs.
    return (
      <input
        id="namespace"
        aria-label="Namespace"
        placeholder="Namespace"
        title={listing.error}
        value={namespace}
        onChange={(event) => chooseNamespace(event.currentTarget.value.trim())}
      />
    );
  }
  return (
    <select id="namespace" aria-label="Namespace" value={namespace} onChange={(event) => chooseNamespace(event.currentTarget.value)}>
      <option value="">All namespaces</option>
      {[...new Set([...(namespace === "" ? [] : [namespace]), ...names])].map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Connection() {
  const connected = useConnected();
  return connected ? null : (
    <span class="badge bad" role="status">
      <i class="dot" aria-hidden="true" />
      reconnecting
    </span>
  );
}

const SCHEMES: Record<Scheme, { next: Scheme; sign: string; text: string }> = {
  auto: { next: "light", sign: "◐", text: "Colours as the system has them" },
  light: { next: "dark", sign: "☀", text: "Light colours" },
  dark: { next: "auto", sign: "☾", text: "Dark colours" },
};

function SchemeChoice() {
  const [current, setCurrent] = useState<Scheme>(scheme());
  const { next, sign, text } = SCHEMES[current];
  return (
    <button
      type="button"
      class="icon"
      aria-label={`${text}; change`}
      title={text}
      onClick={() => {
        setScheme(next);
        setCurrent(next);
      }}
    >
      {sign}
    </button>
  );
}
