// Drawing: the plane of points, the plane of a Dirac-GAN, pictures, curves. No state but the canvas.

export function decode(told) {
  // An array of the server: its bytes in base 64, see minigan/play/encoding.py.
  const kind = "u1" in told ? "u1" : "f4";
  const raw = Uint8Array.from(atob(told[kind]), (c) => c.charCodeAt(0));
  return { shape: told.shape, data: kind === "u1" ? raw : new Float32Array(raw.buffer) };
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "panel", "ink", "soft", "line", "real", "fake", "d", "g", "lattice", "arrow", "accent"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

export function fitted(canvas) {
  // Give the canvas as many pixels as the screen has there; return its context in CSS pixels.
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export function toScreen(limits, width, height) {
  const [x0, x1, y0, y1] = limits;
  return (x, y) => [((x - x0) / (x1 - x0)) * width, height - ((y - y0) / (y1 - y0)) * height];
}

export function toPlane(limits, width, height, px, py) {
  const [x0, x1, y0, y1] = limits;
  return [x0 + (px / width) * (x1 - x0), y0 + (1 - py / height) * (y1 - y0)];
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function landscape(context, width, height, shades, side, palette) {
  // From the fakes' colour (D says fake) over the panel's (undecided) to the reals' colour.
  const [real, fake, paper] = [palette.real, palette.fake, palette.panel].map(rgb);
  const image = new ImageData(side, side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const t = shades[row * side + column] / 255, end = t > 0.5 ? real : fake;
      const weight = 0.62 * Math.abs(2 * t - 1), at = 4 * ((side - 1 - row) * side + column);
      for (let c = 0; c < 3; c++) image.data[at + c] = paper[c] + weight * (end[c] - paper[c]);
      image.data[at + 3] = 255;
    }
  }
  const small = document.createElement("canvas");
  small.width = small.height = side;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, width, height);
}

function lattice(context, place, points, [rows, columns], palette) {
  context.strokeStyle = palette.lattice;
  context.lineWidth = 0.8;
  context.globalAlpha = 0.65;
  context.beginPath();
  const at = (r, c) => place(points[2 * (r * columns + c)], points[2 * (r * columns + c) + 1]);
  const line = (length, where) => {
    for (let i = 0; i < length; i++) context[i ? "lineTo" : "moveTo"](...where(i));
  };
  for (let r = 0; r < rows; r++) line(columns, (c) => at(r, c));
  if (rows > 1) for (let c = 0; c < columns; c++) line(rows, (r) => at(r, c));
  context.stroke();
  context.globalAlpha = 1;
}

function circles(context, place, points, colour) {
  context.fillStyle = colour;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = place(points[i], points[i + 1]);
    context.moveTo(x + 2.6, y);
    context.arc(x, y, 2.6, 0, 7);
  }
  context.fill();
}

function crosses(context, place, points, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.7;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = place(points[i], points[i + 1]);
    context.moveTo(x - 3, y - 3); context.lineTo(x + 3, y + 3);
    context.moveTo(x - 3, y + 3); context.lineTo(x + 3, y - 3);
  }
  context.stroke();
}

function arrows(context, place, points, pushes, scale, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.globalAlpha = 0.8;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) {
    const dx = pushes[i] * scale, dy = pushes[i + 1] * scale;
    arrow(context, place(points[i], points[i + 1]), place(points[i] + dx, points[i + 1] + dy));
  }
  context.stroke();
  context.globalAlpha = 1;
}

function arrow(context, [x, y], [u, v]) {
  const length = Math.hypot(u - x, v - y);
  if (!(length > 1)) return;
  const [a, b] = [(u - x) / length, (v - y) / length], head = Math.min(5, length / 2);
  context.moveTo(x, y); context.lineTo(u, v);
  context.moveTo(u - head * (a + b * 0.6), v - head * (b - a * 0.6));
  context.lineTo(u, v);
  context.lineTo(u - head * (a - b * 0.6), v - head * (b + a * 0.6));
}

function typical(pushes) {
  const lengths = [];
  for (let i = 0; i < pushes.length; i += 2) lengths.push(Math.hypot(pushes[i], pushes[i + 1]));
  lengths.sort((a, b) => a - b);
  return lengths[Math.floor(0.9 * (lengths.length - 1))] || 0;
}

export function plane(canvas, start, seen, shown, cursor) {
  const { context, width, height } = fitted(canvas), palette = colours();
  const place = toScreen(start.limits, width, height), span = start.limits[1] - start.limits[0];
  if (shown.landscape && seen.landscape) landscape(context, width, height, seen.landscape, start.side, palette);
  if (shown.lattice && seen.lattice) lattice(context, place, seen.lattice, start.lattice_shape, palette);
  if (shown.real && seen.real) circles(context, place, seen.real, palette.real);
  if (shown.arrows && seen.arrows) {
    // The longest are a twelfth of the picture; so only their directions and ratios are to be read.
    const most = typical(seen.arrows);
    if (most > 0) arrows(context, place, seen.fake, seen.arrows, span / 12 / most, palette.arrow);
  }
  if (shown.fake && seen.fake) crosses(context, place, seen.fake, palette.fake);
  if (seen.drawn) circles(context, place, seen.drawn, palette.real);
  if (cursor) crosshair(context, place(...cursor), palette);
}

function crosshair(context, [x, y], palette) {
  context.strokeStyle = palette.accent;
  context.lineWidth = 2;
  context.strokeRect(x - 6, y - 6, 12, 12);
}

export function dirac(canvas, start, seen, shown, cursor, words) {
  const { context, width, height } = fitted(canvas), palette = colours();
  const place = toScreen(start.limits, width, height);
  axes(context, place, start.limits, palette);
  if (shown.arrows) {
    const f = start.field, lengths = [];
    for (let i = 0; i < f.length; i += 4) lengths.push(Math.hypot(f[i + 2], f[i + 3]));
    const most = Math.max(...lengths) || 1, cell = (start.limits[1] - start.limits[0]) / 16;
    context.strokeStyle = palette.lattice;
    context.lineWidth = 1.2;
    context.beginPath();
    for (let i = 0; i < f.length; i += 4) {
      const scale = cell / most;
      arrow(context, place(f[i], f[i + 1]), place(f[i] + f[i + 2] * scale, f[i + 1] + f[i + 3] * scale));
    }
    context.stroke();
  }
  path(context, place, seen.path, palette);
  names(context, place, start.limits, palette, words);
  if (cursor) crosshair(context, place(...cursor), palette);
}

function axes(context, place, [x0, x1, y0, y1], palette) {
  context.strokeStyle = palette.line;
  context.beginPath();
  context.moveTo(...place(x0, 0)); context.lineTo(...place(x1, 0));
  context.moveTo(...place(0, y0)); context.lineTo(...place(0, y1));
  context.stroke();
}

function names(context, place, [, x1, , y1], palette, { theta, psi }) {
  // The names of the axes, on a ground of their own among the arrows.
  Object.assign(context, { fillStyle: palette.ink, strokeStyle: palette.panel, lineWidth: 5, lineJoin: "round", font: "13px system-ui, sans-serif" });
  for (const [text, align, x, y] of [[theta, "right", place(x1, 0)[0] - 6, place(0, 0)[1] - 6], [psi, "left", place(0, 0)[0] + 6, place(0, y1)[1] + 16]]) {
    context.textAlign = align;
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }
}

function path(context, place, points, palette) {
  context.strokeStyle = palette.fake;
  context.lineWidth = 2;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) context[i ? "lineTo" : "moveTo"](...place(points[i], points[i + 1]));
  context.stroke();
  const [x, y] = place(points[points.length - 2], points[points.length - 1]);
  context.fillStyle = palette.fake;
  context.beginPath(); context.arc(x, y, 6, 0, 7); context.fill();
  context.strokeStyle = palette.real; context.lineWidth = 2.5;
  const [u, v] = place(0, 0);
  context.beginPath(); context.arc(u, v, 7, 0, 7); context.stroke();
}

export function imageOf({ shape, data }, index) {
  const [, h, w, channels] = shape, image = new ImageData(w, h), size = h * w * channels;
  for (let i = 0; i < h * w; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[index * size + i * channels + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  const canvas = document.createElement("canvas");
  canvas.width = w; canvas.height = h;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function grid(width, height, start, n) {
  const { columns } = start, rows = Math.ceil(n / columns);
  return { columns, cell: Math.min(width / columns, height / rows) };
}

export function pictures(canvas, start, seen, [picked, cursor]) {
  const { context, width, height } = fitted(canvas), n = seen.pictures.shape[0], palette = colours();
  const { columns, cell } = grid(width, height, start, n);
  const corner = (i) => [(i % columns) * cell, Math.floor(i / columns) * cell];
  const framed = (i, colour, dashes) => {
    const [x, y] = corner(i);
    context.strokeStyle = colour; context.lineWidth = 3; context.setLineDash(dashes);
    context.strokeRect(x + 1.5, y + 1.5, cell - 3, cell - 3);
    context.setLineDash([]);
  };
  context.imageSmoothingEnabled = false;
  for (let i = 0; i < n; i++) {
    const [x, y] = corner(i), [, h, w] = seen.pictures.shape, across = Math.min(1, w / h), down = Math.min(1, h / w);
    context.drawImage(imageOf(seen.pictures, i), x + 1, y + 1, (cell - 2) * across, (cell - 2) * down);
  }
  if (picked !== null) framed(picked, palette.accent, []);
  if (cursor !== null) framed(cursor, palette.fake, [4, 3]);
}

export function cellAt(canvas, start, seen, event) {
  // The number of the sample at a place of the screen.
  const box = canvas.getBoundingClientRect();
  const { columns, cell } = grid(box.width, box.height, start, seen.pictures.shape[0]);
  const column = Math.floor((event.clientX - box.left) / cell), row = Math.floor((event.clientY - box.top) / cell);
  return column >= 0 && column < columns && row >= 0 ? row * columns + column : null;
}

const LEFT = 40, RIGHT = 4;

export function curveIndex(canvas, steps, event) {
  // Which of the steps is nearest to the cursor.
  const box = canvas.getBoundingClientRect(), share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
  const wanted = steps[0] + share * (steps[steps.length - 1] - steps[0]), after = steps.findIndex((step) => step >= wanted);
  if (after < 1) return after < 0 ? steps.length - 1 : 0;
  return wanted - steps[after - 1] < steps[after] - wanted ? after - 1 : after;
}

export function curve(canvas, steps, lines, { mark, dashes, at }) {
  const { context, width, height } = fitted(canvas), palette = colours(), left = LEFT, bottom = 16;
  const values = lines.flatMap(({ values }) => values.filter(Number.isFinite)).sort((a, b) => a - b);
  let low = values.length ? values[Math.floor(0.01 * values.length)] : 0;
  let high = values.length ? values[Math.min(values.length - 1, Math.floor(0.99 * values.length))] : 1;
  if (mark !== undefined) { low = Math.min(low, mark); high = Math.max(high, mark); }
  const room = 0.1 * Math.max(high - low, 1e-3); low -= room; high += room;
  const first = steps[0] ?? 0, last = Math.max(steps[steps.length - 1] ?? 1, first + 1);
  const x = (s) => left + ((s - first) / (last - first)) * (width - left - RIGHT);
  const y = (v) => 4 + (1 - (v - low) / (high - low)) * (height - bottom - 8);
  context.fillStyle = palette.soft; context.font = "11px system-ui, sans-serif"; context.textAlign = "right";
  context.fillText(short(high), left - 4, 12); context.fillText(short(low), left - 4, height - bottom);
  context.fillText(String(Math.round(last)), width - 4, height - 3);
  context.strokeStyle = palette.line; context.strokeRect(left, 2, width - left - 3, height - bottom - 2);
  context.save(); context.beginPath(); context.rect(left, 2, width - left - 3, height - bottom - 2); context.clip();
  if (mark !== undefined) { context.setLineDash([2, 4]); stroke(context, [first, last], [mark, mark], x, y, palette.soft, 1); }
  for (const line of lines) {
    context.setLineDash(line.dashed ? dashes : []);
    stroke(context, steps, line.values, x, y, palette[line.colour], 1.8);
  }
  context.setLineDash([]);
  if (at !== null && at < steps.length) stroke(context, [steps[at], steps[at]], [low, high], x, y, palette.accent, 1.5);
  context.restore();
}

function stroke(context, steps, values, x, y, colour, width) {
  context.strokeStyle = colour; context.lineWidth = width; context.beginPath();
  let down = false;
  steps.forEach((step, i) => {
    if (!Number.isFinite(values[i])) { down = false; return; }
    context[down ? "lineTo" : "moveTo"](x(step), y(values[i]));
    down = true;
  });
  context.stroke();
}

export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e4 || size < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

export function scatter(canvas, pairs) {
  // Each logit and the derivative of the loss with respect to it.
  const { context, width, height } = fitted(canvas), palette = colours();
  const all = Object.values(pairs).flatMap((a) => [...a.data]);
  const xs = all.filter((_, i) => i % 2 === 0), ys = all.filter((_, i) => i % 2 === 1).concat([0]);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)], [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const place = (x, y) => [44 + ((x - x0) / (x1 - x0 || 1)) * (width - 54), 8 + (1 - (y - y0) / (y1 - y0 || 1)) * (height - 30)];
  context.fillStyle = palette.soft; context.font = "11px system-ui, sans-serif"; context.textAlign = "right";
  context.fillText(short(y1), 40, 14); context.fillText(short(y0), 40, height - 20);
  context.fillText(short(x1), width - 4, height - 4); context.textAlign = "left"; context.fillText(short(x0), 44, height - 4);
  context.strokeStyle = palette.line; context.beginPath();
  context.moveTo(...place(x0, 0)); context.lineTo(...place(x1, 0)); context.stroke();
  if (pairs.real) circles(context, place, pairs.real.data, palette.real);
  if (pairs.fake) crosses(context, place, pairs.fake.data, palette.fake);
}
