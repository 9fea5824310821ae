import { WebSocket } from 'ws';
import { waitFor } from './wait.ts';

type Frame = readonly [
  joinRef: string | null,
  ref: string | null,
  topic: string,
  event: string,
  payload: { readonly [field: string]: unknown },
];

/** A bare socket that speaks frames and remembers all that it hears. */
export type TestSocket = {
  readonly socket: WebSocket;
  readonly frames: Frame[];
  readonly send: (...frame: Frame) => void;
  /** The reply to the frame with this ref. */
  readonly reply: (ref: string) => Promise<Frame>;
  readonly event: (name: string, count?: number) => Promise<Frame>;
  readonly closed: Promise<number>;
};

/** Opens a socket; rejects with the HTTP status when it is refused. */
export async function openSocket(
  socketUrl: string,
  parameters: Readonly<Record<string, string>>,
): Promise<TestSocket> {
  const socket = new WebSocket(`${socketUrl}?${new URLSearchParams(parameters)}&&vsn=2.0.0`);
  const frames: Frame[] = [];
  socket.on('message', (data) => frames.push(JSON.parse(data.toString())));
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('unexpected-response', (_, response) => reject(response.statusCode));
    socket.on('error', reject);
  });
  return {
    socket,
    frames,
    send: (...frame) => socket.send(JSON.stringify(frame)),
    reply: (ref) =>
      waitFor(`the reply to ${ref}`, () =>
        frames.find((frame) => frame[1] === ref && frame[3] === 'phx_reply'),
      ),
    event: (name, count = 1) =>
      waitFor(`event ${name}`, () => frames.filter((frame) => frame[3] === name)[count - 1]),
    closed,
  };
}
