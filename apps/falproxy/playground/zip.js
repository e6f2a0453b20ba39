// zip.js: a zip of files as they are: pictures and sounds do not become smaller (APPNOTE.TXT, method 0).

const table = Uint32Array.from({ length: 256 }, (_, value) => {
  let sum = value;
  for (let bit = 0; bit < 8; ++bit) sum = sum & 1 ? sum >>> 1 ^ 0xedb88320 : sum >>> 1;
  return sum;
});

function crc32(bytes) {
  let sum = -1;
  for (const byte of bytes) sum = sum >>> 8 ^ table[(sum ^ byte) & 255];
  return (sum ^ -1) >>> 0;
}

function record(size, fields) {
  const view = new DataView(new ArrayBuffer(size));
  for (const [at, bytes, value] of fields) {
    if (bytes === 4) view.setUint32(at, value, true);
    else view.setUint16(at, value, true);
  }
  return new Uint8Array(view.buffer);
}

const most = 0xffffffff;
const mostFiles = 0xffff;

/** `files`: [{name, time, read}]; what read() has no blob of is left out; `told(done, all)` hears how far it is. Throws if it would be larger than 4 GB. */
export async function zipOf(files, told = () => {}) {
  if (files.length > mostFiles) throw new Error('These are too many files for one zip.');
  const parts = [];
  const rows = [];
  const names = new Map();
  let at = 0;
  let rowBytes = 0;
  for (const [index, { name, time, read }] of files.entries()) {
    told(index, files.length);
    const blob = await read();
    if (!blob) continue;
    const seen = names.get(name) ?? 0;
    names.set(name, seen + 1);
    const path = new TextEncoder().encode(seen ? name.replace(/(\.\w+)?$/, `-${seen + 1}$1`) : name);
    const sum = crc32(new Uint8Array(await blob.arrayBuffer()));
    const date = new Date(time);
    const dosTime = date.getHours() << 11 | date.getMinutes() << 5 | date.getSeconds() >> 1;
    const dosDate = Math.max(date.getFullYear() - 1980, 0) << 9 | date.getMonth() + 1 << 5 | date.getDate();
    const common = (from) => [[from, 2, 20], [from + 2, 2, 0x800], [from + 4, 2, 0], [from + 6, 2, dosTime], [from + 8, 2, dosDate], [from + 10, 4, sum], [from + 14, 4, blob.size], [from + 18, 4, blob.size], [from + 22, 2, path.length]];
    const head = record(30, [[0, 4, 0x04034b50], ...common(4)]);
    rows.push(record(46, [[0, 4, 0x02014b50], [4, 2, 20], ...common(6), [42, 4, at]]), path);
    rowBytes += 46 + path.length;
    parts.push(head, path, blob);
    at += head.length + path.length + blob.size;
    if (at + rowBytes > most) throw new Error('These files are more than 4 GB: choose fewer.');
  }
  told(files.length, files.length);
  const end = record(22, [[0, 4, 0x06054b50], [8, 2, files.length], [10, 2, files.length], [12, 4, rowBytes], [16, 4, at]]);
  return new Blob([...parts, ...rows, end], { type: 'application/zip' });
}
