// snippets.js: the request at hand as curl, Python and JavaScript. The key is left as a variable, never written out.

const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const python = (value) => {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
  if (typeof value === 'object') return `{${Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${python(inner)}`).join(', ')}}`;
  return JSON.stringify(value);
};

// What the openai packages know by name; everything else goes through their way for extra fields.
const known = new Set(['model', 'prompt', 'input', 'voice', 'speed', 'instructions', 'language', 'temperature', 'seconds', 'n', 'size', 'quality', 'style', 'background', 'moderation', 'output_format', 'output_compression', 'response_format', 'user', 'input_fidelity']);

const methods = {
  '/v1/images/generations': 'images.generate',
  '/v1/images/edits': 'images.edit',
  '/v1/videos': 'videos.create',
  '/v1/audio/speech': 'audio.speech.create',
  '/v1/audio/transcriptions': 'audio.transcriptions.create',
};
const lasts = {
  '/v1/audio/speech': ['answer.write_to_file("speech.mp3")', "fs.writeFileSync('speech.mp3', Buffer.from(await answer.arrayBuffer()));"],
  '/v1/audio/transcriptions': ['print(answer.text)', 'console.log(answer.text);'],
  '/v1/videos': ['print(answer.id, answer.status)', 'console.log(answer.id, answer.status);'],
};

/** Files by the name of their field: several have one name that ends with []. */
function grouped(files) {
  const groups = new Map();
  for (const [name, file] of files) groups.set(name, [...(groups.get(name) ?? []), file.name ?? 'file.png']);
  return [...groups].map(([name, names]) => [name.replace('[]', ''), names, name.endsWith('[]')]);
}

/** Each takes what partsOf() of request.js gives. */
export const snippets = {
  curl({ path, fields, files }, origin) {
    const head = `curl ${origin}${path} \\\n  -H "Authorization: Bearer $FALPROXY_KEY"`;
    const end = path === '/v1/audio/speech' ? ' \\\n  -o speech.mp3' : '';
    if (!files.length) return `${head} \\\n  -H 'Content-Type: application/json' \\\n  -d ${shellQuote(JSON.stringify(fields))}${end}`;
    const values = Object.entries(fields).map(([name, value]) => `-F ${shellQuote(`${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)}`);
    return [head, ...values, ...files.map(([name, file]) => `-F ${shellQuote(`${name}=@${file.name ?? 'file.png'}`)}`)].join(' \\\n  ');
  },

  python({ path, fields, files }, origin) {
    const extra = Object.fromEntries(Object.entries(fields).filter(([name]) => !known.has(name)));
    const lines = Object.entries(fields).filter(([name]) => known.has(name)).map(([name, value]) => `    ${name}=${python(value)},`);
    for (const [name, names, many] of grouped(files)) {
      const opened = names.map((file) => `open(${JSON.stringify(file)}, "rb")`).join(', ');
      lines.push(`    ${name}=${many ? `[${opened}]` : opened},`);
    }
    if (Object.keys(extra).length) lines.push(`    extra_body=${python(extra)},`);
    return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key=os.environ["FALPROXY_KEY"])\nanswer = client.${methods[path]}(\n${lines.join('\n')}\n)\n${lasts[path]?.[0] ?? 'print(answer.data[0])'}\n`;
  },

  javascript({ path, fields, files }, origin) {
    const lines = Object.entries(fields).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)},`);
    for (const [name, names, many] of grouped(files)) {
      const opened = names.map((file) => `fs.createReadStream(${JSON.stringify(file)})`).join(', ');
      lines.push(`  ${name}: ${many ? `[${opened}]` : opened},`);
    }
    const last = lasts[path]?.[1] ?? 'console.log(answer.data[0]);';
    const needsFs = files.length || last.includes('fs.') ? "import fs from 'node:fs';\n" : '';
    return `${needsFs}import OpenAI from 'openai';\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(`${origin}/v1`)}, apiKey: process.env.FALPROXY_KEY });\nconst answer = await client.${methods[path]}({\n${lines.join('\n')}\n});\n${last}\n`;
  },
};
