import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'vite';

const ENTRY = 'application.js';

/** A page of somebody who uses our API, on an origin of its own. */
export type Application = {
  /** The page's URL with settings, which the page finds in its query. */
  readonly url: (settings: { readonly [name: string]: string }) => string;
  readonly stop: () => Promise<void>;
};

/** Bundles the JavaScript of a page with the packages of this repository and serves it. */
export async function startApplication(title: string, source: string): Promise<Application> {
  const { script, styles } = await bundle(source);
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
    <link rel="icon" href="data:,"><style>body { font-family: sans-serif; margin: 24px; } ${styles}</style>
    <div id="root"></div><script type="module" src="/${ENTRY}"></script></html>`;
  const server = createServer((request, response) => {
    const isScript = request.url === `/${ENTRY}`;
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : page);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: (settings) => `http://127.0.0.1:${port}/?${new URLSearchParams(settings)}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bundle(
  source: string,
): Promise<{ readonly script: string; readonly styles: string }> {
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    define: { 'process.env.NODE_ENV': '"production"' },
    plugins: [
      {
        name: 'application',
        resolveId: (id) => (id === ENTRY ? `\0${ENTRY}` : undefined),
        load: (id) => (id === `\0${ENTRY}` ? source : undefined),
      },
    ],
    build: { write: false, minify: false, rolldownOptions: { input: ENTRY } },
  });
  if (Array.isArray(result) || !('output' in result)) throw new Error('vite built something else');
  const script = result.output.find((one) => one.type === 'chunk');
  if (!script) throw new Error('vite built no script');
  const styles = result.output.flatMap((one) =>
    one.type === 'asset' && one.fileName.endsWith('.css') ? [String(one.source)] : [],
  );
  return { script: script.code, styles: styles.join('\n') };
}
