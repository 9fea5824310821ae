import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const page = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: page('.'),
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // Fonts and images stay files: the content security policy needs no `data:` for them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      // Knock's package holds guides, Slack and Teams beside the feed and does not declare that its
      // modules have no side effects: without this the demo chunk carries all of it (532 kB, not 160).
      treeshake: {
        moduleSideEffects: [
          {
            test: /node_modules\/(@knocklabs|@telegraph|@radix-ui|lucide-react)\/.*js$/,
            sideEffects: false,
          },
        ],
      },
      input: {
        demo: page('index.html'),
        messages: page('dev/messages/index.html'),
        reference: page('docs/index.html'),
      },
    },
  },
  // `npm run dev -w web` beside a running server.
  server: {
    proxy: {
      '/v1': 'http://127.0.0.1:4400',
      '/ws': { target: 'ws://127.0.0.1:4400', ws: true },
      '/dev/demo': 'http://127.0.0.1:4400',
      '^/dev/messages(\\.json|/.)': 'http://127.0.0.1:4400',
    },
  },
});
