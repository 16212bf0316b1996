/** Logging in with a token, where the dashboard runs in the cluster. */

import { useState } from "preact/hooks";
import { wordsOf } from "../cluster/api";
import { login, type Session } from "../cluster/session";
import { Failure, Field } from "../parts/basics";

export function Login({ onLogin }: { onLogin: (session: Session) => void }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState<string | undefined>();
  const [busy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    try {
      onLogin(await login(token.trim()));
    } catch (failure) {
      setError(wordsOf(failure));
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <h1>Kubernetes dashboard</h1>
        <p>Everything you see and do here is with the permissions of the token you log in with.</p>
        <Field label="Token">
          <input
            type="password"
            autocomplete="off"
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </Field>
        <p class="note">
          A token of a ServiceAccount: <code>kubectl create token NAME</code>
        </p>
        {error !== undefined && <Failure>{error}</Failure>}
        <footer>
          <button type="submit" class="primary" disabled={busy}>
            Log in
          </button>
        </footer>
      </form>
    </main>
  );
}
