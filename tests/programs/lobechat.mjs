// lobechat.mjs: of LobeChat, whose package is the TypeScript of a web page, what asks a provider: its OpenAI runtime and the prompts
// of its chores, put together into one file. What these never call is left out (package.json, overrides).

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const top = path.dirname(fileURLToPath(import.meta.url));
const packages = path.join(top, 'node_modules/@lobehub/chat/packages');
const kept = /^(dayjs|debug|lodash-es|nanoid|openai|url-join|zod)(\/|$)/;

const own = {
  name: 'own packages',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^(@lobechat\/|model-bank)/ }, ({ path: name }) => {
      const [, folder, rest] = /^(?:@lobechat\/)?([^/]+)\/?(.*)$/.exec(name);
      const { exports } = JSON.parse(readFileSync(path.join(packages, folder, 'package.json')));
      const file = typeof exports === 'string' ? exports : exports?.[rest ? `./${rest}` : '.'] ?? exports?.['./*']?.replace('*', rest) ?? 'src/index.ts';
      return { path: path.join(packages, folder, file.default ?? file), sideEffects: false };
    });
    onResolve({ filter: /^[^./]/ }, ({ path: name, importer }) =>
      importer.startsWith(packages) && !kept.test(name) ? { path: name, namespace: 'absent', sideEffects: false } : undefined);
    onLoad({ filter: /./, namespace: 'absent' }, () => ({
      contents: 'module.exports = new Proxy(class {}, { get: (own, name) => name === "__esModule" ? undefined : own[name] ?? class {} });',
    }));
  },
};

/** { LobeOpenAI, chainSummaryTitle, ... } */
export async function loadLobeChat() {
  const folder = mkdtempSync(path.join(tmpdir(), 'falproxy-lobechat-'));
  const outfile = path.join(folder, 'lobechat.mjs');
  try {
    await build({
      stdin: { contents: `export * from '${packages}/model-runtime/src/providers/openai/index.ts';\nexport * from '${packages}/prompts/src/chains/index.ts';`, resolveDir: top },
      bundle: true, format: 'esm', platform: 'node', logLevel: 'error', outfile, plugins: [own],
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    });
    return await import(pathToFileURL(outfile));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
