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
const known = new Set(['model', 'prompt', 'n', 'size', 'quality', 'style', 'background', 'moderation', 'output_format', 'output_compression', 'response_format', 'user', 'input_fidelity']);

function split(body) {
  const named = {};
  const extra = {};
  for (const [name, value] of Object.entries(body)) (known.has(name) ? named : extra)[name] = value;
  return { named, extra };
}

export const snippets = {
  curl(request, origin) {
    const head = `curl ${origin}/v1/images/${request.files.length ? 'edits' : 'generations'} \\\n  -H "Authorization: Bearer $FALPROXY_KEY"`;
    if (!request.files.length) {
      return `${head} \\\n  -H 'Content-Type: application/json' \\\n  -d ${shellQuote(JSON.stringify(request.body))}`;
    }
    const fields = Object.entries(request.body).map(([name, value]) => `-F ${shellQuote(`${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)}`);
    const files = request.files.map((file) => `-F ${shellQuote(`image[]=@${file.name}`)}`);
    if (request.mask) files.push(`-F ${shellQuote(`mask=@${request.mask.name}`)}`);
    return [head, ...fields, ...files].join(' \\\n  ');
  },

  python(request, origin) {
    const { named, extra } = split(request.body);
    const lines = Object.entries(named).map(([name, value]) => `    ${name}=${python(value)},`);
    if (request.files.length) lines.push(`    image=[${request.files.map((file) => `open(${JSON.stringify(file.name)}, "rb")`).join(', ')}],`);
    if (request.mask) lines.push(`    mask=open(${JSON.stringify(request.mask.name)}, "rb"),`);
    if (Object.keys(extra).length) lines.push(`    extra_body=${python(extra)},`);
    return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key=os.environ["FALPROXY_KEY"])\nanswer = client.images.${request.files.length ? 'edit' : 'generate'}(\n${lines.join('\n')}\n)\nprint(answer.data[0])\n`;
  },

  javascript(request, origin) {
    const body = { ...request.body };
    const lines = Object.entries(body).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)},`);
    if (request.files.length) lines.push(`  image: [${request.files.map((file) => `fs.createReadStream(${JSON.stringify(file.name)})`).join(', ')}],`);
    if (request.mask) lines.push(`  mask: fs.createReadStream(${JSON.stringify(request.mask.name)}),`);
    const needsFs = request.files.length ? "import fs from 'node:fs';\n" : '';
    return `${needsFs}import OpenAI from 'openai';\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(`${origin}/v1`)}, apiKey: process.env.FALPROXY_KEY });\nconst answer = await client.images.${request.files.length ? 'edit' : 'generate'}({\n${lines.join('\n')}\n});\nconsole.log(answer.data[0]);\n`;
  },
};
