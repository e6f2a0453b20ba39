// mask.js: a mask that is painted on the picture itself, and a picture that is extended by dragging its borders.

import { ask, byId, onClick, say } from './dom.js';

const farthest = 1;  // a border can go out by as much as the picture is wide or high
const keyStep = 16;
const mostPixels = 16_000_000;  // phones have no larger canvas
const mostShown = 1600;
const colour = '#7c5cff';

const edges = ['left', 'top', 'right', 'bottom'];
const isAcross = (edge) => edge === 'left' || edge === 'right';
const asBlob = (canvas) => new Promise((resolve, reject) => { canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The browser cannot write the picture.'))), 'image/png'); });

function canvasOf(width, height) { return Object.assign(document.createElement('canvas'), { width, height }); }

class Painting {
  constructor(bitmap) {
    this.bitmap = bitmap;
    this.pad = { left: 0, top: 0, right: 0, bottom: 0 };
    this.strokes = [];
    this.cursor = null;
    this.isFull = false;  // no border goes further out
    this.view = byId('mask-canvas');
    [this.ground, this.layer] = [canvasOf(1, 1), canvasOf(1, 1)];
    this.resize();
  }

  get width() { return this.bitmap.width + this.pad.left + this.pad.right; }
  get height() { return this.bitmap.height + this.pad.top + this.pad.bottom; }
  get extended() { return edges.some((edge) => this.pad[edge] > 0); }
  get brush() { return Math.max(1, Number(byId('tool-size').value) / 200 * Math.min(this.bitmap.width, this.bitmap.height)); }

  /** What is seen has no more pixels than a screen, however large the picture is. */
  resize() {
    this.scale = Math.min(1, mostShown / Math.max(this.width, this.height));
    for (const canvas of [this.view, this.ground, this.layer]) {
      canvas.width = Math.round(this.width * this.scale);
      canvas.height = Math.round(this.height * this.scale);
    }
    this.drawPicture(this.ground, this.scale);
    this.repaint();
  }

  repaint() {
    this.paint(this.layer, this.scale);
    this.show();
  }

  /** In pixels of the picture, whatever the canvas has. */
  penOf(canvas, scale) {
    const pen = canvas.getContext('2d');
    pen.setTransform(scale, 0, 0, scale, this.pad.left * scale, this.pad.top * scale);
    return pen;
  }

  /** All that is painted. */
  paint(canvas, scale) {
    const pen = this.penOf(canvas, scale);
    const whole = [-this.pad.left, -this.pad.top, this.width, this.height];
    pen.clearRect(...whole);
    if (this.extended) {
      pen.fillStyle = colour;
      pen.fillRect(...whole);
      pen.clearRect(0, 0, this.bitmap.width, this.bitmap.height);
    }
    for (const stroke of this.strokes) this.draw(pen, stroke, 0);
  }

  /** The points of a stroke from `first` on. */
  draw(pen, { erases, width, points }, first) {
    pen.save();
    pen.globalCompositeOperation = erases ? 'destination-out' : 'source-over';
    pen.strokeStyle = colour;
    pen.lineCap = pen.lineJoin = 'round';
    pen.lineWidth = width;
    pen.beginPath();
    const [x, y] = points[Math.max(first - 1, 0)];
    pen.moveTo(x, y);
    // A point alone is a dot, too.
    for (const [toX, toY] of points.slice(Math.max(first, 0))) pen.lineTo(toX, toY + (points.length === 1 ? 0.01 : 0));
    pen.stroke();
    pen.restore();
  }

  /** The picture on its extended ground: the ground is the picture itself, stretched, which models go on from. */
  drawPicture(canvas, scale) {
    const pen = this.penOf(canvas, scale);
    if (this.extended) pen.drawImage(this.bitmap, -this.pad.left, -this.pad.top, this.width, this.height);
    pen.drawImage(this.bitmap, 0, 0);
  }

  show() {
    const pen = this.view.getContext('2d');
    pen.clearRect(0, 0, this.view.width, this.view.height);
    pen.drawImage(this.ground, 0, 0);
    pen.globalAlpha = 0.6;
    pen.drawImage(this.layer, 0, 0);
    pen.globalAlpha = 1;
    if (this.cursor) {
      for (const [colour, width] of [['#000', 3], ['#fff', 1]]) {
        pen.beginPath();
        pen.arc((this.cursor[0] + this.pad.left) * this.scale, (this.cursor[1] + this.pad.top) * this.scale, this.brush / 2 * this.scale, 0, 7);
        pen.strokeStyle = colour;
        pen.lineWidth = width * this.view.width / Math.max(this.view.clientWidth, 1);
        pen.stroke();
      }
    }
    byId('mask-undo').disabled = !this.strokes.length;
    const size = `${this.bitmap.width} × ${this.bitmap.height} pixels`;
    say(byId('mask-figures'), `${size}${this.extended ? `, extended to ${this.width} × ${this.height}` : ''}${this.isFull ? ', which is the most' : ''}`);
  }

  begin(point) {
    this.stroke = { erases: byId('tool-eraser').getAttribute('aria-pressed') === 'true', width: this.brush, points: [point] };
    this.strokes.push(this.stroke);
    this.draw(this.penOf(this.layer, this.scale), this.stroke, 0);
    this.show();
  }

  extend(points) {
    const first = this.stroke.points.length;
    this.stroke.points.push(...points);
    this.draw(this.penOf(this.layer, this.scale), this.stroke, first);
    this.show();
  }

  /** In pixels of the picture. */
  place({ clientX, clientY }) {
    const box = this.view.getBoundingClientRect();
    return [(clientX - box.left) * this.width / box.width - this.pad.left, (clientY - box.top) * this.height / box.height - this.pad.top];
  }

  stretch(edge, pixels) {
    const [own, now, other] = isAcross(edge) ? [this.bitmap.width, this.width, this.height] : [this.bitmap.height, this.height, this.width];
    const room = Math.max(Math.floor(mostPixels / other) - (now - this.pad[edge]), 0);
    this.isFull = pixels > room && room < own * farthest;
    this.pad[edge] = Math.round(Math.min(Math.max(pixels, 0), own * farthest, room));
    this.resize();
  }

  async result() {
    const canvas = canvasOf(this.width, this.height);
    this.paint(canvas, 1);
    const pen = canvas.getContext('2d');
    pen.resetTransform();
    // White, with holes.
    pen.globalCompositeOperation = 'source-out';
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, this.width, this.height);
    const made = { mask: new File([await asBlob(canvas)], 'mask.png', { type: 'image/png' }), width: this.width, height: this.height };
    if (!this.extended) return made;
    const whole = canvasOf(this.width, this.height);
    this.drawPicture(whole, 1);
    return { ...made, picture: new File([await asBlob(whole)], 'extended.png', { type: 'image/png' }) };
  }
}

let painting;

function watchCanvas() {
  const canvas = byId('mask-canvas');
  let pointer = null;
  canvas.addEventListener('pointerdown', (event) => {
    if (pointer !== null || event.button > 0) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    painting.cursor = null;
    painting.begin(painting.place(event));
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerId !== pointer) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    painting.extend((moves.length ? moves : [event]).map((move) => painting.place(move)));
  });
  for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, (event) => { if (event.pointerId === pointer) pointer = null; });
  canvas.addEventListener('keydown', (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (!way && event.key !== ' ') return;
    event.preventDefault();
    painting.cursor ??= [painting.bitmap.width / 2, painting.bitmap.height / 2];
    if (event.key === ' ') return painting.begin([...painting.cursor]);
    const step = painting.brush / (event.shiftKey ? 1 : 4);
    painting.cursor = [Math.min(Math.max(painting.cursor[0] + way[0] * step, 0), painting.bitmap.width), Math.min(Math.max(painting.cursor[1] + way[1] * step, 0), painting.bitmap.height)];
    return painting.show();
  });
}

function watchEdge(handle) {
  const { edge } = handle.dataset;
  const outwards = edge === 'left' || edge === 'top' ? -1 : 1;
  let from = null;
  handle.addEventListener('pointerdown', (event) => {
    handle.setPointerCapture(event.pointerId);
    const box = painting.view.getBoundingClientRect();
    from = { at: isAcross(edge) ? event.clientX : event.clientY, pad: painting.pad[edge], scale: painting.width / box.width };
  });
  handle.addEventListener('pointermove', (event) => {
    if (from) painting.stretch(edge, from.pad + ((isAcross(edge) ? event.clientX : event.clientY) - from.at) * outwards * from.scale);
  });
  for (const name of ['pointerup', 'pointercancel']) handle.addEventListener(name, () => { from = null; });
  handle.addEventListener('keydown', (event) => {
    const way = { ArrowLeft: isAcross(edge) ? -1 : 0, ArrowRight: isAcross(edge) ? 1 : 0, ArrowUp: isAcross(edge) ? 0 : -1, ArrowDown: isAcross(edge) ? 0 : 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    painting.stretch(edge, painting.pad[edge] + way * outwards * keyStep);
  });
}

function watch() {
  watchCanvas();
  for (const handle of document.querySelectorAll('[data-edge]')) watchEdge(handle);
  const tools = ['tool-brush', 'tool-eraser'];
  for (const id of tools) byId(id).addEventListener('click', () => { for (const other of tools) byId(other).setAttribute('aria-pressed', String(other === id)); });
  byId('tool-size').addEventListener('input', () => painting.show());
  onClick('mask-undo', () => {
    painting.strokes.pop();
    painting.repaint();
  });
  onClick('mask-clear', () => {
    painting.strokes = [];
    painting.pad = { left: 0, top: 0, right: 0, bottom: 0 };
    painting.resize();
  });
  onClick('mask-use', () => {
    if (painting.strokes.length || painting.extended) byId('mask-dialog').close('use');
    else say(byId('mask-figures'), 'Nothing is painted yet.');
  });
}

/** Shows the picture to paint on. {mask, width, height, picture: the extended one, if it was}; null: nothing is to be used. */
export async function paint(file) {
  if (!painting) watch();
  const bitmap = await createImageBitmap(file);
  try {
    painting = new Painting(bitmap);
    const said = await ask(byId('mask-dialog'), { holdsWork: true });
    return said === 'use' ? await painting.result() : null;
  } finally {
    bitmap.close();
  }
}
