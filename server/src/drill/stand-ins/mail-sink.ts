import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';

const MOST_LINE_BYTES = 100_000;
const DRILL_NUMBER = /^Subject: .*#(\d+)\s*$/im;

/** A mail with the number of its trigger in the subject, as `#17`. */
export type Arrival = {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly bytes: number;
};

export type MailSink = {
  /** `smtp://127.0.0.1:PORT` */
  readonly url: string;
  readonly arrivals: () => readonly Arrival[];
  readonly close: () => Promise<void>;
};

/** A mail server (RFC 5321, without extensions) that takes everything and remembers when it came. */
export async function startMailSink(options: { readonly nowMs: () => number }): Promise<MailSink> {
  const arrivals: Arrival[] = [];
  const server = createServer((socket) => {
    converse(socket, (text) => {
      const number = Number(DRILL_NUMBER.exec(text)?.[1] ?? Number.NaN);
      if (!Number.isNaN(number)) {
        arrivals.push({ number, atMs: options.nowMs(), bytes: text.length });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    arrivals: () => arrivals,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function converse(socket: Socket, received: (mail: string) => void): void {
  let rest = '';
  let mail: string[] | undefined;
  const say = (line: string): void => {
    socket.write(`${line}\r\n`);
  };
  const hear = (line: string): void => {
    if (mail !== undefined) {
      if (line !== '.') {
        mail.push(line);
        return;
      }
      received(mail.join('\n'));
      mail = undefined;
      say('250 taken');
      return;
    }
    switch (line.slice(0, 4).toUpperCase()) {
      case 'DATA':
        mail = [];
        say('354 go ahead');
        return;
      case 'QUIT':
        say('221 bye');
        socket.end();
        return;
      default:
        say('250 ok');
    }
  };
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\r\n');
    rest = lines.pop() ?? '';
    if (rest.length > MOST_LINE_BYTES) socket.destroy();
    for (const line of lines) hear(line);
  });
  say('220 stand-in');
}
