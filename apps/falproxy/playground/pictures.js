// pictures.js: what can be told of a chosen picture before it is sent.

async function drawn(file, settings) {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  return { bitmap, canvas, pen: canvas.getContext('2d', settings) };
}

const standIns = new WeakMap();

async function blank(file, alpha) {
  try {
    const { canvas } = await drawn(file, { alpha });
    return new File([await canvas.convertToBlob({ type: 'image/png' })], file.name, { type: 'image/png' });
  } catch {
    return file;  // The browser cannot read it; perhaps the model can.
  }
}

/** An empty PNG of as many pixels: all that a dry run has to know of a picture. `alpha`: it is transparent. */
export function standIn(file, alpha = false) {
  if (!standIns.has(file)) standIns.set(file, blank(file, alpha));
  return standIns.get(file);
}

/** A moment of silence: all that a dry run has to know of a recording. */
export function shortSound() {
  const bytes = new Uint8Array(44 + 1600);
  const text = (at, letters) => bytes.set([...letters].map((letter) => letter.charCodeAt(0)), at);
  const number = (at, size, value) => { for (let i = 0; i < size; ++i) bytes[at + i] = value >> 8 * i & 255; };
  text(0, 'RIFF');
  number(4, 4, bytes.length - 8);
  text(8, 'WAVEfmt ');
  for (const [at, size, value] of [[16, 4, 16], [20, 2, 1], [22, 2, 1], [24, 4, 8000], [28, 4, 16000], [32, 2, 2], [34, 2, 16]]) number(at, size, value);
  text(36, 'data');
  number(40, 4, 1600);
  return new File([bytes], 'silence.wav', { type: 'audio/wav' });
}

/** Why a mask would change nothing; '' if it would. The server has the same rule: this only says it before anything is sent. */
export async function faultOfMask(file) {
  let pixels;
  try {
    const { bitmap, canvas, pen } = await drawn(file, { willReadFrequently: true });
    pen.drawImage(bitmap, 0, 0);
    pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  } catch {
    return '';
  }
  let darkest = 255;
  let brightest = 0;
  let coloured = false;
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3] < 254) return '';
    const least = Math.min(pixels[i], pixels[i + 1], pixels[i + 2]);
    const most = Math.max(pixels[i], pixels[i + 1], pixels[i + 2]);
    coloured ||= most - least > 64;
    darkest = Math.min(darkest, least);
    brightest = Math.max(brightest, most);
  }
  // The colour type in a PNG's head: these two have an alpha channel, which here says "opaque" everywhere.
  const type = new Uint8Array(await file.slice(25, 26).arrayBuffer())[0];
  const flat = brightest - darkest <= 1 && (type === 4 || type === 6);
  return !coloured && brightest > 1 && !flat ? '' : 'The mask leaves nothing to change: no pixel of it is transparent. Erase the part that is to change.';
}
