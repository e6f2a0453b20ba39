// Holds dotenv_cases.json against npm's dotenv. Usage: node dotenv_cases.mjs [--write]
// dotenv is found as Node finds it; NODE_PATH names a node_modules folder elsewhere. --write puts its results into the file.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { deepStrictEqual } from 'node:assert';

const require = createRequire(import.meta.url);
const dotenv = require('dotenv');
const { version } = require('dotenv/package.json');
const file = new URL('dotenv_cases.json', import.meta.url);
const table = JSON.parse(readFileSync(file, 'utf8'));

for (const row of table.cases) {
  const got = dotenv.parse(row.text);
  if (process.argv.includes('--write')) row.want = got;
  else deepStrictEqual({ ...got }, row.want, row.name);
}
if (process.argv.includes('--write')) {
  const escape = (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0');
  const rows = table.cases.map((row) => '    ' + JSON.stringify(row).replace(/[\u007f-\uffff]/g, escape));
  writeFileSync(file, `{\n  "dotenv": "${version}",\n  "cases": [\n${rows.join(',\n')}\n  ]\n}\n`);
}
console.log(`${table.cases.length} cases, dotenv ${version}`);
