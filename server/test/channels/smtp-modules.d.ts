// The parts of two packages without types that the tests use.

declare module 'smtp-server' {
  import type { Server } from 'node:net';
  import type { Readable } from 'node:stream';

  type Done = (error?: Error | null) => void;
  type Address = { readonly address: string };
  export type SmtpSession = {
    readonly secure: boolean;
    readonly envelope: { readonly rcptTo: readonly Address[] };
  };
  type Login = { readonly username: string; readonly password: string };

  export type SMTPServerOptions = {
    readonly authOptional?: boolean;
    readonly disabledCommands?: readonly string[];
    readonly hideSTARTTLS?: boolean;
    readonly secure?: boolean;
    readonly onConnect?: (session: SmtpSession, done: Done) => void;
    readonly onAuth?: (
      auth: Login,
      session: SmtpSession,
      done: (error: Error | null, answer?: { readonly user: string }) => void,
    ) => void;
    readonly onMailFrom?: (address: Address, session: SmtpSession, done: Done) => void;
    readonly onRcptTo?: (address: Address, session: SmtpSession, done: Done) => void;
    readonly onData?: (stream: Readable, session: SmtpSession, done: Done) => void;
  };

  export class SMTPServer {
    readonly server: Server;
    readonly connections: Set<unknown>;
    constructor(options: SMTPServerOptions);
    listen(port: number, host: string, done: () => void): void;
    close(done: () => void): void;
    on(event: 'error', listener: (error: Error) => void): this;
  }
}

declare module 'mailparser' {
  type AddressList = { readonly value: readonly { address?: string; name: string }[] };
  export type ParsedMail = {
    readonly from?: AddressList;
    readonly to?: AddressList;
    readonly cc?: AddressList;
    readonly bcc?: AddressList;
    readonly replyTo?: AddressList;
    readonly subject?: string;
    readonly text?: string;
    readonly html?: string | false;
    readonly messageId?: string;
    readonly headers: ReadonlyMap<string, unknown>;
    readonly attachments: readonly {
      readonly filename?: string;
      readonly contentType: string;
      readonly contentDisposition: string;
      readonly cid?: string;
      readonly content: Buffer;
    }[];
  };
  export function simpleParser(source: unknown): Promise<ParsedMail>;
}
