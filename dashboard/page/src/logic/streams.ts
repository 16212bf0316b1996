/** Kubernetes' remote command protocol over WebSocket: the first byte of a message is its channel. */

export const PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

export enum Channel {
  Stdin = 0,
  Stdout = 1,
  Stderr = 2,
  Error = 3,
  Resize = 4,
}

export function frame(channel: Channel, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(data.length + 1);
  message[0] = channel;
  message.set(data, 1);
  return message;
}

export function resizeFrame(columns: number, rows: number): Uint8Array<ArrayBuffer> {
  return frame(Channel.Resize, new TextEncoder().encode(JSON.stringify({ Width: columns, Height: rows })));
}

/** What the Status on the error channel says of how a command ended. */
export function ending(status: string): string {
  try {
    const { status: outcome, message } = JSON.parse(status) as { status?: string; message?: string };
    return outcome === "Success" ? "The command has ended." : (message ?? "The command has failed.");
  } catch {
    return status;
  }
}
