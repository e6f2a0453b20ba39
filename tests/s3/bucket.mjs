// bucket.mjs: a bucket of s3rver's. It looks at keys and not at signatures (version 4): those are checked by what stands before it
// here, from what came over the wire.

import { createHash, createHmac } from 'node:crypto';
import { createServer, request } from 'node:http';
import S3rver from 's3rver';

const hmac = (key, text) => createHmac('sha256', key).update(text).digest();

/** Whether a request is signed as AWS Signature Version 4 says, by a field or in its address. */
function isSigned({ method, url, headers }, secret) {
  const [target, query = ''] = url.split('?');
  const pairs = query.split('&').filter(Boolean).map((pair) => (pair.includes('=') ? pair : `${pair}=`));
  const asked = new URLSearchParams(query);
  const field = /Credential=([^,]+), SignedHeaders=([^,]+), Signature=(.+)$/.exec(headers.authorization ?? '');
  const [credential, names, signature] = field?.slice(1) ?? ['Credential', 'SignedHeaders', 'Signature'].map((name) => asked.get(`X-Amz-${name}`));
  if (!signature) return false;
  const canonical = [
    method, target, pairs.filter((pair) => !pair.startsWith('X-Amz-Signature=')).sort().join('&'),
    ...names.split(';').map((name) => `${name}:${headers[name].trim()}`), '', names,
    field ? headers['x-amz-content-sha256'] : 'UNSIGNED-PAYLOAD',
  ].join('\n');
  const [, ...scope] = credential.split('/');
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'] ?? asked.get('X-Amz-Date'), scope.join('/'), createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = scope.reduce(hmac, `AWS4${secret}`);
  return hmac(key, text).toString('hex') === signature;
}

/** A bucket `pictures` for the keys S3RVER, S3RVER: its `endpoint`, and close(). */
export async function startBucket(directory) {
  const bucket = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory, configureBuckets: [{ name: 'pictures' }] });
  const { port } = await bucket.run();
  const gate = createServer((incoming, outgoing) => {
    if (!isSigned(incoming, 'S3RVER')) {
      incoming.resume();
      outgoing.writeHead(403).end('<Error><Code>SignatureDoesNotMatch</Code></Error>');
      return;
    }
    const { method, url, headers } = incoming;
    const onward = request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(onward);
  });
  await new Promise((done) => gate.listen(0, '127.0.0.1', done));
  return {
    endpoint: `http://127.0.0.1:${gate.address().port}`,
    async close() {
      gate.close();
      gate.closeAllConnections();
      await bucket.close();
    },
  };
}
