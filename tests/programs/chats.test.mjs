// Chat programs that npm has not, or not to be run: what they send, by their recorded wire, and what each reads of the answer.
// A picture arrives, streamed and not; a failed job is paid once; what they ask beside their users costs nothing.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { accessKey, start } from '../clients/support.mjs';

const prompt = 'a lighthouse';
let both, images;
before(async () => {
  both = await start();
  images = await start({ env: { CHAT_IMAGES: 'images' } });
});
after(async () => { await both?.stop(); await images?.stop(); });

const jobs = async (servers) => (await servers.stats()).submits;
const send = (servers, body) => fetch(`${servers.url}/v1/chat/completions`, {
  method: 'POST', headers: { authorization: `Bearer ${accessKey}`, 'content-type': 'application/json' }, body: JSON.stringify(body),
});
const ask = async (servers, body) => {
  const answer = await send(servers, body);
  return { status: answer.status, ...(await answer.json()) };
};

/** The chunks of a stream. */
async function chunks(servers, body) {
  const text = await (await send(servers, { ...body, stream: true })).text();
  const data = [...text.matchAll(/^data: (.*)$/gm)].map(([, line]) => line);
  assert.equal(data.pop(), '[DONE]');
  return data.map((line) => JSON.parse(line));
}
const deltas = async (servers, body) => (await chunks(servers, body)).flatMap(({ choices }) => choices.map(({ delta }) => delta));

/** How often `read(delta)` shows the picture. */
const shown = (all, read) => all.flatMap((delta) => read(delta) ?? []).length;
const ofImages = (delta) => delta.images;
const ofMarkdown = (delta) => delta.content?.match(/!\[image\]\(/g);

const history = '### Chat History:\n<chat_history>\nUSER: a lighthouse at dusk\nASSISTANT: ![image](https://v3.fal.media/files/a.png)\n</chat_history>';
const task = (example, more = '') => `### Task:\nDo what is asked.\n### Output:\nJSON format: ${example}\n${more}${history}`;
const user = (content) => [{ role: 'user', content }];
const system = (content, said) => [{ role: 'system', content }, { role: 'user', content: said }];

// By program: the turns of its users, and what it asks by itself; `reads`: what it takes of the answer, which must be there.
const programs = {
  'Open WebUI': {
    servers: () => images, // as docs/clients.md sets it up
    turn: (content) => ({ model: 'nano', stream_options: { include_usage: true }, messages: [{ role: 'system', content: 'You are kind.' }, ...user(content)], temperature: 0.8, max_tokens: 4096, tool_ids: null }),
    sees: ofImages,
    chores: [
      { messages: user(task('{ "title": "your concise title here" }')), max_completion_tokens: 1000, reads: (text) => JSON.parse(text).title },
      { messages: user(task('{ "tags": ["tag1", "tag2", "tag3"] }')), reads: (text) => JSON.parse(text).tags.length },
      { messages: user(task('{ "follow_ups": ["Question 1?", "Question 2?"] }')), reads: (text) => Array.isArray(JSON.parse(text).follow_ups) },
      { messages: user(task('{ "queries": ["query1", "query2"] }', 'Today\'s date is: 2026-11-30.\n')), reads: (text) => Array.isArray(JSON.parse(text).queries) },
      { messages: user(task('{ "prompt": "Your detailed description here." }')), reads: (text) => JSON.parse(text).prompt },
      { messages: user(`${task('{ "text": "<your_completion>" }')}\n<type>search query</type>\n<text>a lig</text>`), reads: (text) => JSON.parse(text).text === '' },
      { messages: user('Your task is to reflect the speaker\'s likely facial expression through a fitting emoji. Interpret emotions from the message: """a lighthouse"""'), max_completion_tokens: 4, reads: (text) => text },
      { messages: system('Available Tools: [{"name":"search"}]\n\nReturn an empty array if no tools match.', 'Query: History:\nUSER: a fox\nQuery: a fox'), reads: (text) => JSON.parse(text).tool_calls.length === 0 },
      { messages: user('You have been provided with a set of responses from various models to the latest user query: "a fox"'), reads: (text) => text },
    ],
  },
  LobeChat: {
    servers: () => images,
    turn: (content) => ({ model: 'nano', messages: user(content), temperature: 1, top_p: 1, presence_penalty: 0, frequency_penalty: 0 }),
    sees: ofImages,
    chores: [
      { messages: system('You are a professional conversation summarizer. Generate a title.\n\nRules:\n- Output ONLY the title text', 'user: a lighthouse\nassistant: here'), reads: (text) => text },
      { messages: system('You are a professional translator. Translate the input text to en-US.\n\nRules:\n- Output ONLY the translated text', 'a lighthouse'), reads: (text) => text },
      { messages: [...system('You are an emoji expert who selects the most appropriate emoji.\n\nRules:\n- Output ONLY a single emoji', 'I write'), { role: 'assistant', content: '✒️' }, ...user('a painter')], reads: (text) => text },
      { messages: system('You\'re an assistant who\'s good at extracting key takeaways from conversations and summarizing them.', '<chat_history>\n<user>a fox</user>\n</chat_history>\n\nPlease summarize the above conversation.'), reads: (text) => text },
      { messages: [...system('你是一名擅长会话标签总结的助理', '输入: {x} [zh-CN]'), { role: 'assistant', content: 'x' }, ...user('输入: {a painter} [en-US]')], reads: (text) => text },
    ],
  },
  LibreChat: {
    servers: () => both,
    turn: (content) => ({ model: 'nano', messages: user(content), user: '65f0c2', stream_options: { include_usage: true } }),
    sees: ofMarkdown,
    chores: [
      { messages: user('Please generate a concise, 5-word-or-less title for the conversation, using its same language, with no punctuation.\n\n||>User:\n"a lighthouse"\n||>Response:\n"here"'), temperature: 0.2, reads: (text) => text },
      { messages: user('Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title\n\nUser: a lighthouse'), response_format: { type: 'json_schema', json_schema: { name: 'title' } }, reads: (text) => JSON.parse(text).title },
    ],
  },
  NextChat: {
    servers: () => both,
    turn: (content) => ({ model: 'nano', messages: [{ role: 'system', content: '\nYou are ChatGPT, a large language model trained by OpenAI.' }, ...user(content)], temperature: 0.5, presence_penalty: 0, frequency_penalty: 0, top_p: 1 }),
    sees: ofMarkdown,
    chores: [
      { messages: [...user('a lighthouse'), { role: 'assistant', content: 'here' }, ...user('Please generate a four to five word title summarizing our conversation without any lead-in, punctuation, quotation marks.')], reads: (text) => text },
      { messages: [...user('a lighthouse'), { role: 'assistant', content: 'here' }, { role: 'system', content: 'Summarize the discussion briefly in 200 words or less to use as a prompt for future context.' }], reads: (text) => text },
    ],
  },
  'Cherry Studio': {
    servers: () => both,
    turn: (content) => ({ model: 'nano', messages: user([{ type: 'text', text: content }]), stream_options: { include_usage: true } }),
    sees: ofMarkdown,
    chores: [{ messages: system('You need to summarize the user\'s conversation into a title within 10 words, with the language of the title consistent with the user\'s primary language', 'user: a lighthouse'), reads: (text) => text }],
  },
  Chatbox: {
    servers: () => both,
    turn: (content) => ({ model: 'nano', messages: [{ role: 'system', content: 'You are a helpful assistant.' }, ...user(content)] }),
    sees: ofMarkdown,
    chores: [{ messages: user('Based on the chat history, give this conversation a name.\nKeep it short - 10 characters max, no quotes.\n\nuser: a lighthouse'), reads: (text) => text }],
  },
  'AnythingLLM and others': {
    servers: () => both,
    turn: (content) => ({ model: 'nano', messages: user(content), max_tokens: 1024, temperature: 0 }),
    sees: ofMarkdown,
    chores: [{ messages: user('test'), max_tokens: 1, reads: (text) => text }],
  },
};

for (const [name, { servers, turn, sees, chores }] of Object.entries(programs)) {
  describe(name, () => {
    it('shows a picture once, streamed and not', async () => {
      const { choices } = await ask(servers(), turn(prompt));
      assert.equal(shown([choices[0].message], sees), 1);
      const all = await deltas(servers(), turn(`${prompt} falsim:job_time=200`));
      assert.equal(shown(all, sees), 1);
      if (servers() === images) assert.equal(shown(all, ofMarkdown), 0);
    });

    it('edits it in the next turn, when it sends the talk', async () => {
      const first = await ask(servers(), turn(prompt));
      const before = turn(prompt).messages;
      await ask(servers(), { ...turn(prompt), messages: [...before, first.choices[0].message, ...user('make it blue')] });
      const made = (await servers().submits()).at(-1);
      assert.equal(made.endpoint, 'fal-ai/nano-banana/edit');
      assert.equal(made.input.prompt, 'make it blue');
    });

    it('pays once for a job that fails, streamed or not', async () => {
      const before = await jobs(servers());
      const { status, error } = await ask(servers(), turn(`falsim:job_error ${name}`));
      assert.equal(status, 400);
      assert.equal(error.code, 'image_generation_failed');
      await (await send(servers(), { ...turn(`falsim:job_error falsim:job_time=200 ${name}`), stream: true })).text();
      assert.equal(await jobs(servers()), before + 2);
    });

    it('asks for nothing that costs beside its user', async () => {
      const before = await jobs(servers());
      for (const { reads, ...chore } of chores) {
        const words = JSON.stringify(chore).slice(0, 160);
        const { status, choices } = await ask(servers(), { model: 'nano', ...chore });
        assert.equal(status, 200, words);
        assert.ok(reads(choices[0].message.content), words);
        const text = (await deltas(servers(), { model: 'nano', ...chore })).map(({ content }) => content ?? '').join('');
        assert.ok(reads(text), words);
      }
      assert.equal(await jobs(servers()), before);
    });
  });
}

describe('LobeChat', () => {
  it('has a picture of NAME:image, which is chat without modalities and without a stream', async () => {
    const { choices } = await ask(images, { model: 'nano', stream: false, messages: user([{ type: 'text', text: prompt }]) });
    assert.match(choices[0].message.images[0].image_url.url, /^data:image\//);
  });
});

describe('Open WebUI', () => {
  it('has the user\'s own words drawn, though documents come with them', async () => {
    await ask(images, { model: 'nano', messages: user('### Task:\nRespond to the user query using the provided context.\n<context>\n<source id="1">text</source>\n</context>\n\na red kite') });
    assert.equal((await images.submits()).at(-1).input.prompt, 'a red kite');
  });
});
