/** Buttons for what changes the cluster: they say whether one may, ask where it matters, and tell how it went. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { kube, wordsOf } from "../cluster/api";
import { inWords, type Permission, useMay } from "../cluster/permissions";
import type { Request } from "../actions/requests";
import { Dialog, Failure } from "./basics";
import { toast } from "./toasts";

interface ButtonProps {
  needs: Permission[];
  onClick: () => void;
  danger?: boolean;
  primary?: boolean;
  children: ComponentChildren;
}

/** A button that stays reachable where it is not allowed, so that its reason can be read. */
export function ActionButton({ needs, onClick, danger = false, primary = false, children }: ButtonProps) {
  const allowed = useMay(needs);
  const reason = allowed === false ? `You may not ${needs.map(inWords).join(", or not ")}` : undefined;
  return (
    <button
      type="button"
      class={danger ? "danger" : primary ? "primary" : undefined}
      aria-disabled={allowed !== true}
      title={reason}
      aria-description={reason}
      onClick={() => {
        if (allowed === true) onClick();
        else if (reason !== undefined) toast(reason, true);
      }}
    >
      {children}
    </button>
  );
}

/** Sends a request and says how it went; the answer, or undefined if it was refused. */
export async function perform<T>(request: Request, done: string): Promise<T | undefined> {
  try {
    const answer = await kube<T>(request.path, request.call);
    toast(done);
    return answer;
  } catch (error) {
    toast(wordsOf(error), true);
    return undefined;
  }
}

interface ConfirmProps {
  title: string;
  confirm: string;
  request: () => Request;
  done: string;
  danger?: boolean;
  onClose: () => void;
  onDone?: () => void;
  children?: ComponentChildren;
}

/** Asks before it sends. */
export function Confirm({ title, confirm, request, done, danger = false, onClose, onDone, children }: ConfirmProps) {
  const [error, setError] = useState<string | undefined>();
  const [busy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    try {
      const { path, call } = request();
      await kube(path, call);
      toast(done);
      onClose();
      onDone?.();
    } catch (failure) {
      setError(wordsOf(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        {children}
        {error !== undefined && <Failure>{error}</Failure>}
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={danger ? "danger" : "primary"} disabled={busy}>
            {confirm}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
