/** Who can do what, by the RBAC objects. */

import { useEffect, useState } from "preact/hooks";
import { own, wordsOf } from "../cluster/api";
import { discover } from "../cluster/discovery";
import { type Kind, KINDS } from "../cluster/kinds";
import { useScope } from "../cluster/session";
import { Empty, Failure, Field, Heading, Panel, Tabs } from "../parts/basics";
import { KindTable } from "./kindtable";
import type { Route } from "../logic/route";

interface Named {
  kind: string;
  name: string;
  namespace: string | null;
}

interface Answer {
  subjects: (Named & { through: { binding: Named; role: Named; names: string[] }[] })[];
  complete: boolean;
  unread: string[];
}

const VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*"];
const RBAC: [string, string, boolean][] = [
  ["roles", "Role", true],
  ["rolebindings", "RoleBinding", true],
  ["clusterroles", "ClusterRole", false],
  ["clusterrolebindings", "ClusterRoleBinding", false],
];
const TABS = [["", "Who can"], ...RBAC.map(([plural, kind]) => [plural, `${kind}s`])];

export function Access({ route }: { route: Route }) {
  const tab = route.parts[0] ?? "";
  const row = RBAC.find(([plural]) => plural === tab);
  return (
    <>
      <Heading title="Access" />
      <Tabs label="Access" current={tab} of={TABS.map(([id = "", text = ""]) => ({ id, text, href: `#/access${id === "" ? "" : `/${id}`}` }))} />
      {row === undefined ? <WhoCan /> : <KindTable key={tab} kind={rbac(row)} />}
    </>
  );
}

const rbacKinds = new Map<string, Kind>();

/** The same object each time, for what compares. */
function rbac([plural, kind, namespaced]: [string, string, boolean]): Kind {
  const known = rbacKinds.get(plural) ?? { group: "rbac.authorization.k8s.io", version: "v1", plural, kind, namespaced };
  rbacKinds.set(plural, known);
  return known;
}

function WhoCan() {
  const scope = useScope();
  const [kinds, setKinds] = useState<Kind[]>(KINDS);
  const [verb, setVerb] = useState("get");
  const [resource, setResource] = useState("secrets");
  const [namespace, setNamespace] = useState(scope.namespace);
  const [name, setName] = useState("");
  const [answer, setAnswer] = useState<Answer | undefined>();
  const [asked, setAsked] = useState("");
  const [error, setError] = useState<string | undefined>();
  useEffect(() => {
    // Without discovery there are still the kinds that every cluster has.
    discover().then(setKinds, () => undefined);
  }, []);
  const ask = async () => {
    const [plural = "", subresource] = resource.split("/");
    const [short = "", ...group] = plural.split(".");
    const known = kinds.find((kind) => kind.plural === short && (group.length === 0 || kind.group === group.join(".")));
    const query: Record<string, string> = {
      verb,
      group: known?.group ?? group.join("."),
      resource: subresource === undefined ? short : `${short}/${subresource}`,
      ...(namespace === "" ? {} : { namespace }),
      ...(name === "" ? {} : { name }),
    };
    try {
      setAnswer(await own<Answer>("who-can", { query }));
      setAsked(`${verb} ${resource}${name === "" ? "" : `/${name}`} ${namespace === "" ? "in all namespaces" : `in ${namespace}`}`);
      setError(undefined);
    } catch (failure) {
      setError(wordsOf(failure));
      setAnswer(undefined);
    }
  };
  return (
    <>
      <Panel title="Who can…" wide>
        <form
          class="who-can"
          onSubmit={(event) => {
            event.preventDefault();
            void ask();
          }}
        >
          <Field label="Verb">
            <input list="verbs" required value={verb} onInput={(event) => setVerb(event.currentTarget.value)} />
          </Field>
          <Field label="Resource">
            <input list="resources" required value={resource} onInput={(event) => setResource(event.currentTarget.value)} />
          </Field>
          <Field label="Namespace (empty: all)">
            <input value={namespace} onInput={(event) => setNamespace(event.currentTarget.value)} />
          </Field>
          <Field label="Name (empty: any)">
            <input value={name} onInput={(event) => setName(event.currentTarget.value)} />
          </Field>
          <button type="submit" class="primary">
            Ask
          </button>
          <datalist id="verbs">
            {VERBS.map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
          <datalist id="resources">
            {[...kinds.map((kind) => (kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`)), "pods/exec", "pods/log"].map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
        </form>
        {error !== undefined && <Failure>{error}</Failure>}
      </Panel>
      {answer !== undefined && (
        <Panel title={`Who can ${asked}`} wide>
          {!answer.complete && <p class="note">{`This may not be all: ${answer.unread.join("; ")}`}</p>}
          {answer.subjects.length === 0 && <Empty>Nobody.</Empty>}
          <ul class="subjects">
            {answer.subjects.map((subject) => (
              <li key={`${subject.kind}/${subject.namespace}/${subject.name}`}>
                <span class="kind">{subject.kind}</span>
                <b>{subject.namespace === null ? subject.name : `${subject.namespace}/${subject.name}`}</b>
                <small>
                  {subject.through.length === 0
                    ? "may do anything"
                    : subject.through
                        .map(({ binding, role, names }) => `${role.kind} ${role.name} by ${binding.kind} ${binding.name}${names.length > 0 ? `, only ${names.join(", ")}` : ""}`)
                        .join("; ")}
                </small>
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </>
  );
}
