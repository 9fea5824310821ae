import { request as ask, type IncomingMessage } from 'node:http';
import { S3Error } from '../../src/drill/stand-ins/s3-error.ts';
import { type Answer, type Stand, serveStand } from '../../src/drill/stand-ins/serve.ts';
import { seededRandom } from './random.ts';

const SEED = 1;
/** Of a connection alone. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length']);

/** A proxy before an object store that passes everything on but what is to go wrong. */
export function startFaultProxy(target: string): Promise<Stand> {
  const { hostname, port } = new URL(target);
  return serveStand({
    port: 0,
    nowMs: Date.now,
    random: seededRandom(SEED),
    answer: (request) => forward(request, { hostname, port }),
    refusal: (kind) => {
      const error =
        kind === 'slow_down'
          ? new S3Error('SlowDown', 'Please reduce your request rate.')
          : new S3Error('InternalError', 'We encountered an internal error. Please try again.');
      const headers = { 'content-type': 'application/xml' };
      return { status: error.status, headers, body: Buffer.from(error.xml) };
    },
  });
}

function forward(
  request: IncomingMessage,
  target: { readonly hostname: string; readonly port: string },
): Promise<Answer> {
  const { method, url, headers } = request;
  return new Promise((resolve, reject) => {
    // The host stays as it was signed.
    const upstream = ask({ ...target, method, path: url, headers }, (answer) => {
      const length = answer.headers['content-length'];
      resolve({
        status: answer.statusCode ?? 502,
        headers: Object.fromEntries(
          Object.entries(answer.headers).flatMap(([name, value]) =>
            value === undefined || HOP_BY_HOP.has(name) ? [] : [[name, value]],
          ),
        ),
        body: answer,
        ...(length === undefined ? {} : { bytes: Number(length) }),
      });
    });
    upstream.on('error', reject);
    request.on('error', reject);
    request.pipe(upstream);
  });
}
