// The site of the docs: every page is in it, every link leads somewhere, also within a page, the search knows the words, and a
// reader's browser asks no other host. Usage: site.mjs build/site/VERSION
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const site = path.resolve(process.argv[2]);
const version = path.basename(site);
const base = `http://site/${version}/`;
const faults = [];
const must = (what, message) => { if (!what) faults.push(message); };

const pages = readdirSync(site, { recursive: true }).filter((name) => name.endsWith('.html') && !name.startsWith('api/') && name !== '404.html');
const html = new Map(pages.map((page) => [page, readFileSync(path.join(site, page), 'utf8')]));
const ids = new Map([...html].map(([page, text]) => [page, new Set([...text.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id))]));

for (const folder of ['docs', 'docs/decisions']) {
  for (const name of readdirSync(path.join(top, folder)).filter((file) => file.endsWith('.md'))) {
    const page = `${folder}/${name.replace(/md$/, 'html')}`;
    must(html.has(page), `${folder}/${name} is no page of the site`);
    must(html.get('index.html')?.includes(`href="/${version}/${page}"`), `the sidebar does not lead to ${page}`);
  }
}
let links = 0;
for (const [page, text] of html) {
  must(text.includes(`falproxy ${version}</title>`), `${page} does not say its version`);
  for (const [, tag, attributes] of text.matchAll(/<(\w+)((?:\s[^<>]*)?)>/g)) {
    const [, target] = / (?:href|src)="([^"]*)"/.exec(attributes) ?? [];
    if (!target || /^(data|mailto):/.test(target)) continue;
    const url = new URL(target.replaceAll('&amp;', '&'), base + page);
    if (url.host !== 'site') {
      must(tag === 'a', `${page} asks another host: ${target}`);
      continue;
    }
    ++links;
    const file = decodeURIComponent(url.href.slice(base.length).split('#')[0]) || 'index.html';
    must(url.href.startsWith(base) && existsSync(path.join(site, file)) && statSync(path.join(site, file)).isFile(), `${page} leads to ${target}, which is not there`);
    const place = decodeURIComponent(url.hash.slice(1));
    must(!place || !ids.has(file) || ids.get(file).has(place), `${page} leads to ${target}, where there is no such heading`);
  }
}
const index = readdirSync(path.join(site, 'assets/chunks')).find((name) => name.includes('localSearchIndex'));
must(index && /idempotency/i.test(readFileSync(path.join(site, 'assets/chunks', index), 'utf8')), 'the search does not know the word Idempotency-Key');
console.log(faults.length === 0 ? `docs: ${html.size} pages, ${links} links` : faults.join('\n'));
process.exit(faults.length === 0 ? 0 : 1);
