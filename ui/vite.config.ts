import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const OUT = '../src/adaptive_engine/server/ui';

/** Compressed once here, so that the server need not do it per request. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    closeBundle() {
      for (const name of readdirSync(OUT, { recursive: true }) as string[]) {
        const path = join(OUT, name);
        if (statSync(path).isFile() && /\.(js|css|html|svg)$/.test(name)) {
          const body = readFileSync(path);
          writeFileSync(`${path}.br`, brotliCompressSync(body));
          writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
        }
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), precompress()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    // The policy of the pages allows no scripts inline, so the polyfill of the preloads may not be there.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // tests/e2e/test_pages.py has the limit that counts: of what a page loads, compressed.
    chunkSizeWarningLimit: 1000,
    target: 'es2023',
    // These know light-dark(); what is made of it for others does not follow Mantine's switch.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
  },
  server: { proxy: { '/api': process.env.ADAPTIVE_URL ?? 'http://127.0.0.1:9000' } },
  test: { environment: 'node', include: ['src/**/*.test.ts'] },
});
