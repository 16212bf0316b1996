/** A shell in a container. */

import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { socketUrl } from "../cluster/api";
import { kindOf, pathOf } from "../cluster/kinds";
import type { Pod } from "../cluster/objects";
import { permission, useMay } from "../cluster/permissions";
import { type Cell, keySequence, Screen, type Style } from "../logic/screen";
import { Channel, ending, frame, PROTOCOLS, resizeFrame } from "../logic/streams";
import { Failure } from "../parts/basics";
import { ContainerChoice, useContainer } from "../parts/containerchoice";

const SHELL = "command -v bash >/dev/null && exec bash || exec sh";

export function Terminal({ pod, container: wanted }: { pod: Pod; container?: string }) {
  const [container, choose] = useContainer(pod, wanted);
  const [attempt, setAttempt] = useState(0);
  const { name, namespace } = pod.metadata;
  // A WebSocket is opened by GET; since 1.35 one needs to be allowed to create as well.
  const allowed = useMay([permission("create", kindOf("pods"), namespace, name, "exec")]);
  if (allowed === false) return <Failure>{`You may not create pods/exec in ${namespace}.`}</Failure>;
  return (
    <section class="terminal">
      <div class="toolbar">
        <ContainerChoice pod={pod} current={container} onChoose={choose} />
        <button type="button" onClick={() => setAttempt((before) => before + 1)}>
          Start anew
        </button>
        <span class="note">Ctrl+Shift+Escape leaves the terminal</span>
      </div>
      {allowed && <Shell key={`${container}/${attempt}`} pod={pod} container={container} />}
    </section>
  );
}

function Shell({ pod, container }: { pod: Pod; container: string }) {
  const screen = useRef(new Screen(80, 24)).current;
  const socket = useRef<WebSocket>();
  const element = useRef<HTMLDivElement>(null);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const [state, setState] = useState("Connecting…");
  const { name, namespace } = pod.metadata;

  const send = (message: Uint8Array<ArrayBuffer>) => {
    if (socket.current?.readyState === WebSocket.OPEN) socket.current.send(message);
  };
  const type = (text: string) => send(frame(Channel.Stdin, new TextEncoder().encode(text)));

  useEffect(() => {
    const query = new URLSearchParams({ container, stdin: "true", stdout: "true", tty: "true" });
    for (const word of ["sh", "-c", SHELL]) query.append("command", word);
    const opened = new WebSocket(socketUrl(`k8s${pathOf(kindOf("pods"), namespace, name, "exec")}?${query}`), PROTOCOLS);
    opened.binaryType = "arraybuffer";
    socket.current = opened;
    const decoder = new TextDecoder();
    let waiting = 0;
    let over = false;
    opened.onopen = () => {
      setState("");
      send(resizeFrame(screen.columns, screen.rows));
      element.current?.focus();
    };
    opened.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      const bytes = new Uint8Array(data);
      if (bytes[0] === Channel.Error) {
        over = true;
        setState(ending(new TextDecoder().decode(bytes.subarray(1))));
        return;
      }
      screen.write(decoder.decode(bytes.subarray(1), { stream: true }));
      if (screen.answer !== "") type(screen.answer);
      screen.answer = "";
      waiting ||= requestAnimationFrame(() => {
        waiting = 0;
        redraw(0);
      });
    };
    opened.onclose = (event) => {
      if (!over) setState(event.reason || "The connection has ended.");
    };
    return () => {
      cancelAnimationFrame(waiting);
      opened.onclose = null;
      opened.close();
    };
  }, []);

  useLayoutEffect(() => {
    const area = element.current;
    if (area === null) return;
    const fit = () => {
      const probe = area.querySelector(".probe")?.getBoundingClientRect();
      if (probe === undefined || probe.width === 0) return;
      const columns = Math.max(20, Math.floor((area.clientWidth - 16) / (probe.width / 10)));
      const rows = Math.max(6, Math.floor((area.clientHeight - 16) / probe.height));
      if (columns === screen.columns && rows === screen.rows) return;
      screen.resize(columns, rows);
      send(resizeFrame(columns, rows));
      redraw(0);
    };
    const sizes = new ResizeObserver(fit);
    sizes.observe(area);
    return () => sizes.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (element.current !== null) element.current.scrollTop = element.current.scrollHeight;
  });

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey && event.shiftKey) {
      // Copying and pasting are the browser's; and there is a way out by keyboard.
      if (event.key === "Escape") document.querySelector<HTMLElement>("h1")?.focus();
      return;
    }
    const text = keySequence(event, screen.applicationKeys);
    if (text === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    type(text);
  };
  return (
    <>
      <p class="note" role="status">
        {state}
      </p>
      <div
        class="screen"
        ref={element}
        tabIndex={0}
        role="textbox"
        aria-multiline="true"
        aria-label={`Terminal in ${container}`}
        onKeyDown={onKeyDown}
        onPaste={(event) => {
          event.preventDefault();
          type((event.clipboardData?.getData("text") ?? "").replace(/\n/g, "\r"));
        }}
      >
        <span class="probe" aria-hidden="true">
          MMMMMMMMMM
        </span>
        {screen.past.slice(-500).map((line, index) => (
          <Line key={`past ${screen.past.length - Math.min(500, screen.past.length) + index}`} cells={line} />
        ))}
        {screen.lines.map((line, index) => (
          <Line key={index} cells={line} cursor={screen.cursorVisible && index === screen.row ? screen.column : undefined} />
        ))}
      </div>
    </>
  );
}

function Line({ cells, cursor }: { cells: Cell[]; cursor?: number }) {
  const runs: { text: string; style: Style; cursor: boolean }[] = [];
  const length = Math.max(cells.length, (cursor ?? -1) + 1);
  for (let column = 0; column < length; column += 1) {
    const cell = cells[column] ?? { text: " ", style: {} };
    const last = runs.at(-1);
    const here = column === cursor;
    if (last !== undefined && !here && !last.cursor && last.style === cell.style) last.text += cell.text;
    else runs.push({ text: cell.text, style: cell.style, cursor: here });
  }
  return (
    <div class="screen-line">
      {runs.length === 0
        ? " "
        : runs.map((run, index) => (
            <span key={index} class={classOf(run.style, run.cursor)}>
              {run.text}
            </span>
          ))}
    </div>
  );
}

/** Classes for a style; of the palette only the sixteen named colours have one. */
function classOf(style: Style, cursor: boolean): string | undefined {
  const names = [
    cursor && "cursor",
    style.bold && "bold",
    style.underline && "underline",
    style.inverse && "inverse",
    style.foreground !== undefined && style.foreground < 16 && `ink-${style.foreground}`,
    style.background !== undefined && style.background < 16 && `ground-${style.background}`,
  ].filter((name) => name !== false && name !== undefined);
  return names.length > 0 ? names.join(" ") : undefined;
}
