// n8n.mjs: n8n's OpenAI node, driven by what a workflow gives it; of n8n's own core only the helpers that it calls are played.

import Module, { createRequire } from 'node:module';
import { accessKey } from '../clients/support.mjs';

// What agents need, and this node only names: its packages are left out (package.json, overrides).
const load = Module._load;
Module._load = function (name, ...rest) {
  return name.startsWith('@langchain/') ? new Proxy({}, { get: () => class {} }) : load.call(this, name, ...rest);
};
const require = createRequire(import.meta.url);
const { OpenAi } = require('@n8n/n8n-nodes-langchain/dist/nodes/vendors/OpenAi/OpenAi.node.js');
const { modelSearch } = require('@n8n/n8n-nodes-langchain/dist/nodes/vendors/OpenAi/methods/listSearch.js');
Module._load = load;

const at = (object, path) => path.split('.').reduce((value, name) => value?.[name], object);

// As n8n sends it: JSON or a form, the credential as a bearer, and an answer that is no success is thrown.
async function request(_credential, { method, uri, body, headers, formData }) {
  const answer = await fetch(uri, {
    method,
    headers: { authorization: `Bearer ${accessKey}`, ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
    body: formData ? new Uint8Array(formData.getBuffer()) : body && JSON.stringify(body),
  });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  throw Object.assign(new Error(`${answer.status} - ${text}`), { statusCode: answer.status, error: JSON.parse(text) });
}

function context(url, parameters, pictures) {
  const { description } = new OpenAi();
  return {
    getNode: () => ({ id: '1', name: 'OpenAI', type: description.name, typeVersion: description.defaultVersion, position: [0, 0], parameters }),
    getInputData: () => [{ json: {} }],
    getNodeParameter: (name, _item, otherwise, { extractValue } = {}) => {
      const value = at(parameters, name) ?? otherwise;
      return extractValue ? value.value ?? value : value;
    },
    getCredentials: async () => ({ apiKey: accessKey, url }),
    getExecutionCancelSignal: () => undefined,
    continueOnFail: () => false,
    helpers: {
      requestWithAuthentication: request,
      prepareBinaryData: async (buffer) => ({ data: buffer.toString('base64') }),
      assertBinaryData: (_item, name) => ({ data: pictures[name].toString('base64'), mimeType: 'image/png', fileName: 'a.png' }),
      getBinaryDataBuffer: async (_item, name) => pictures[name],
      binaryToBuffer: async (buffer) => buffer,
    },
  };
}

/** What the node gives: the first item. */
export async function runNode(url, parameters, pictures = {}) {
  const { nodeVersions, description } = new OpenAi();
  const node = nodeVersions[description.defaultVersion];
  return (await node.execute.call(context(url, parameters, pictures)))[0][0];
}

/** The names that its picker lists. */
export async function listedModels(url) {
  return (await modelSearch.call(context(url, {}, {}))).results.map(({ value }) => value);
}
