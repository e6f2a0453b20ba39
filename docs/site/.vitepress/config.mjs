// The docs as a site: README, every page of docs/, and the pages beside them. sh cmake/docs.sh builds it.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const version = /project\(falproxy VERSION ([0-9.]+)/.exec(readFileSync(path.join(top, 'CMakeLists.txt'), 'utf8'))[1];
const hasApi = existsSync(path.join(top, 'build/doc/html/index.html'));
const decisions = readdirSync(path.join(top, 'docs/decisions')).filter((name) => name.endsWith('.md')).sort();
const icon = 'apps/falproxy/playground/icon.svg';
const files = new Set([icon]);  // of the tree, to which pages link

const group = (text, pages) => ({ text, items: pages.map(([name, link]) => ({ text: name, link })) });
const docs = (pages) => pages.map(([name, page]) => [name, `/docs/${page}`]);
const sidebar = [
  group('Begin', [['What it is', '/'], ...docs([['Settings', 'settings'], ['Commands', 'commands'], ['The page', 'page'], ['Clients', 'clients']])]),
  group('What it serves', docs([['Mapping of requests', 'mapping'], ['Errors', 'errors'], ['Chats and Responses', 'chat'], ['Videos', 'videos'], ['Requests that need not wait', 'asynchronous'], ['Kept files', 'media'], ['Money', 'money']])),
  group('Running it', docs([['Operations', 'operations'], ['Several replicas', 'cluster'], ['Performance', 'performance']])),
  group('The library', [...docs([['Tutorial', 'tutorial'], ['Public interface', 'public-api'], ['Architecture', 'architecture'], ['falsim', 'falsim']]), ['Packages', '/packaging/README']]),
  group('The project', [['Changelog', '/CHANGELOG'], ['Contributing', '/CONTRIBUTING'], ['Security', '/SECURITY']]),
  { ...group('Decisions', decisions.map((name) => [readFileSync(path.join(top, 'docs/decisions', name), 'utf8').split('\n')[0].slice(2), `/docs/decisions/${name.slice(0, -3)}`])), collapsed: true },
];

/** As GitHub names headings: the same links lead there. */
const slugify = (heading) => heading.trim().toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');

/** Links to files of the tree lead to copies of them. A folder is named, and not linked; that of the decisions leads to the first. */
function linkFiles(md) {
  md.core.ruler.push('files', ({ tokens, env }) => {
    const from = path.dirname(env.realPath ?? env.path);
    let folder = false;
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      if (token.type === 'link_close' && folder) {
        Object.assign(token, { type: 'folder_close', tag: 'span' });
        folder = false;
      }
      const href = token.type === 'link_open' ? token.attrGet('href') : '';
      if (!href || /^([a-z]+:|#|\/)|\.md(#|$)/.test(href)) continue;
      const file = path.resolve(from, href);
      if (!existsSync(file)) continue;  // a dead link, which ends the build
      if (file === path.join(top, 'docs/decisions')) {
        token.attrSet('href', `${path.relative(from, file)}/${decisions[0]}`);
      } else if (statSync(file).isDirectory()) {
        Object.assign(token, { type: 'folder_open', tag: 'span', attrs: [] });
        folder = true;
      } else {
        files.add(path.relative(top, file));
        token.attrSet('href', `${path.relative(from, top) || '.'}/files/${path.relative(top, file)}`);
        token.attrSet('target', '_blank');
      }
    }
  });
}

export default {
  title: `falproxy ${version}`,
  titleTemplate: `:title · falproxy ${version}`,
  description: 'fal.ai behind OpenAI’s APIs',
  lang: 'en',
  base: `/${version}/`,
  head: [['link', { rel: 'icon', href: `/${version}/files/${icon}` }]],
  srcDir: '../..',
  srcExclude: ['build/**', 'tests/**', 'examples/**', 'deploy/**', 'libfalproxy/**', 'docs/site/**', '**/node_modules/**'],
  rewrites: { 'README.md': 'index.md' },
  outDir: path.join(top, 'build/site', version),
  cacheDir: path.join(top, 'build/site-cache'),
  // Pages stand above the folder of the packages, and would not find them.
  vite: { resolve: { alias: [{ find: /^vue(\/server-renderer)?$/, replacement: path.join(top, 'docs/site/node_modules/vue$1') }] } },
  markdown: { config: linkFiles, anchor: { slugify }, languageAlias: { caddyfile: 'nginx' } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar,
    nav: hasApi ? [{ text: 'Headers', link: `/api/index.html`, target: '_self' }] : [],
    footer: { message: `falproxy ${version}, MIT licensed` },
  },
  buildEnd({ outDir }) {
    for (const file of files) {
      const copy = path.join(outDir, 'files', file);
      mkdirSync(path.dirname(copy), { recursive: true });
      cpSync(path.join(top, file), copy);
    }
    if (hasApi) cpSync(path.join(top, 'build/doc/html'), path.join(outDir, 'api'), { recursive: true });
  },
};
