"use strict";
// The map of look-alikes: moves, zooms, filters, and names the image that is pointed at.
const points = JSON.parse(document.getElementById("points").textContent);
const map = document.getElementById("map");
const plane = map.querySelector(".plane > canvas");
const picked = map.querySelector(".picked");
const controls = map.querySelector("form");
const atlas = document.getElementById("atlas");
const count = points.name.length;
const extent = { x: Math.max(...points.x, 1), y: Math.max(...points.y, 1) };
const PADDING = 26;
const MAX_ZOOM = 40;
let view = { zoom: 1, x: 0, y: 0 };
let hovered = -1;
let chosen = -1;

const setting = (name) => controls.elements[`map-${name}`]?.value ?? "";
const fits = (i) => {
  const [mix, group, source] = ["mix", "group", "source"].map(setting);
  return (mix === "" || points.mix[i] === Number(mix)) &&
    (group === "" || (group === "any" ? points.group[i] >= 0 : points.group[i] === Number(group))) &&
    (source === "" || points.source[i] === Number(source));
};

const size = () => ({ width: plane.clientWidth, height: plane.clientHeight });
const scale = () => {
  const { width, height } = size();
  return view.zoom * Math.min((width - 2 * PADDING) / extent.x, (height - 2 * PADDING) / extent.y);
};
const place = (i) => {
  const { width, height } = size();
  const s = scale();
  return { x: width / 2 + (points.x[i] - extent.x / 2) * s + view.x, y: height / 2 + (points.y[i] - extent.y / 2) * s + view.y };
};

const base = () => Math.min(Math.max(size().width / 200, 2.2), 4); // px; a phone has less room
const radius = () => Math.min((count > 1500 ? 0.6 : 1) * base() * Math.sqrt(view.zoom), 9);
const drawShape = (pen, [, color, shape], { x, y }, r) => {
  pen.beginPath();
  if (shape === "circle") pen.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "square") pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else { pen.moveTo(x - r, y - r); pen.lineTo(x + r, y + r); pen.moveTo(x + r, y - r); pen.lineTo(x - r, y + r); }
  pen.fillStyle = pen.strokeStyle = color;
  pen.lineWidth = 2;
  if (shape === "cross") pen.stroke(); else pen.fill();
};
const drawRing = (pen, { x, y }, r, width) => {
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.strokeStyle = getComputedStyle(plane).color;
  pen.lineWidth = width;
  pen.stroke();
};
// Draw the photo of image i with its longer side `side`, its middle at a place; say whether there is one.
const drawPhoto = (pen, i, { x, y }, side) => {
  const tile = points.tile[i];
  if (tile < 0 || !atlas?.complete) return false;
  const [width, height] = points.sizes[tile];
  const s = side / Math.max(width, height);
  const [left, top] = [(tile % points.columns) * points.tile_px, Math.floor(tile / points.columns) * points.tile_px];
  pen.drawImage(atlas, left, top, width, height, x - (width * s) / 2, y - (height * s) / 2, width * s, height * s);
  pen.strokeStyle = points.mixes[points.mix[i]][1];
  pen.lineWidth = 2;
  pen.strokeRect(x - (width * s) / 2, y - (height * s) / 2, width * s, height * s);
  return true;
};

// Draw photos where there is room for them: none upon another.
const drawPhotos = (pen, items, side) => {
  const placed = new Map(); // cell of the canvas -> middle of the photo in it
  for (const { i, at } of items) {
    const [column, row] = [Math.floor(at.x / side), Math.floor(at.y / side)];
    const around = [-1, 0, 1].flatMap((right) => [-1, 0, 1].map((down) => placed.get(`${column + right},${row + down}`)));
    const isTaken = around.some((other) => other && Math.max(Math.abs(other.x - at.x), Math.abs(other.y - at.y)) < side);
    if (!isTaken && drawPhoto(pen, i, at, side - 3)) placed.set(`${column},${row}`, at);
  }
};

// Points, photos over them, the image that is pointed at on top; what does not fit the filters is faint.
const draw = () => {
  const { width, height } = size();
  const density = devicePixelRatio || 1;
  plane.width = width * density;
  plane.height = height * density;
  const pen = plane.getContext("2d");
  pen.scale(density, density);
  const r = radius();
  const side = setting("look") === "photos" ? Math.min(7.5 * base() * Math.sqrt(view.zoom), 96) : 0;
  const reach = side + r;
  const seen = points.name.map((_, i) => ({ i, at: place(i), fits: fits(i) }))
    .filter(({ at }) => at.x > -reach && at.y > -reach && at.x < width + reach && at.y < height + reach);
  const drawPoint = ({ i, at }) => drawShape(pen, points.mixes[points.mix[i]], at, r);
  pen.globalAlpha = 0.12;
  seen.filter((item) => !item.fits).forEach(drawPoint);
  pen.globalAlpha = 0.9;
  const clear = seen.filter((item) => item.fits);
  clear.forEach((item) => { drawPoint(item); if (points.group[item.i] >= 0) drawRing(pen, item.at, r + 1.5, 1); });
  pen.globalAlpha = 1;
  if (side) drawPhotos(pen, clear, side);
  if (hovered >= 0 || chosen >= 0) drawCurrent(pen, hovered >= 0 ? hovered : chosen, side, r);
};
const drawCurrent = (pen, current, side, r) => {
  const at = place(current);
  if (points.group[current] >= 0) {
    pen.globalAlpha = 0.45;
    pen.strokeStyle = getComputedStyle(plane).color;
    pen.lineWidth = 1;
    for (let i = 0; i < count; i += 1) {
      if (points.group[i] !== points.group[current]) continue;
      const other = place(i);
      pen.beginPath();
      pen.moveTo(at.x, at.y);
      pen.lineTo(other.x, other.y);
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }
  if (!drawPhoto(pen, current, at, Math.max(side, 48))) drawShape(pen, points.mixes[points.mix[current]], at, r + 2);
  drawRing(pen, at, Math.max(side, 48) * 0.75, 2);
};
let asked = false;
const redraw = () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); });
};

const tell = (i) => {
  const still = picked.querySelector("canvas");
  picked.querySelector(".name").textContent = points.name[i];
  const source = points.sources.length > 1 ? `; ${points.sources[points.source[i]]}` : "";
  picked.querySelector(".said").textContent = `${points.text[i]}${source}`;
  const pen = still.getContext("2d");
  pen.clearRect(0, 0, still.width, still.height);
  still.hidden = !drawPhoto(pen, i, { x: still.width / 2, y: still.height / 2 }, still.width - 4);
};
const nearest = (event) => {
  const area = plane.getBoundingClientRect();
  const [x, y] = [event.clientX - area.left, event.clientY - area.top];
  let best = -1;
  let least = 24 ** 2;
  for (let i = 0; i < count; i += 1) {
    if (!fits(i)) continue;
    const at = place(i);
    const distance = (at.x - x) ** 2 + (at.y - y) ** 2;
    if (distance < least) { best = i; least = distance; }
  }
  return best;
};

// Zoom by a factor with a point of the canvas held in place; the whole plane never leaves the canvas.
const zoomAt = (factor, x, y) => {
  const { width, height } = size();
  const zoom = Math.min(Math.max(view.zoom * factor, 1), MAX_ZOOM);
  const f = zoom / view.zoom;
  view = { zoom, x: (view.x - (x - width / 2)) * f + (x - width / 2), y: (view.y - (y - height / 2)) * f + (y - height / 2) };
  settle();
};
const settle = () => {
  const s = scale();
  const limit = (value, reach) => Math.min(Math.max(value, -reach), reach);
  view.x = limit(view.x, (extent.x * s) / 2);
  view.y = limit(view.y, (extent.y * s) / 2);
  if (view.zoom === 1) view.x = view.y = 0;
  plane.classList.toggle("zoomed", view.zoom > 1);
  redraw();
};
const zoomMiddle = (factor) => zoomAt(factor, size().width / 2, size().height / 2);

const fingers = new Map();
plane.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, event);
  plane.setPointerCapture(event.pointerId);
  chosen = nearest(event);
  if (chosen >= 0) tell(chosen);
  redraw();
});
plane.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) {
    const found = nearest(event);
    if (found !== hovered) { hovered = found; if (found >= 0) tell(found); redraw(); }
    return;
  }
  const others = [...fingers.values()].filter((finger) => finger.pointerId !== event.pointerId);
  if (others.length === 1) {
    const area = plane.getBoundingClientRect();
    const apart = (finger) => Math.hypot(finger.clientX - others[0].clientX, finger.clientY - others[0].clientY);
    zoomAt(apart(event) / Math.max(apart(before), 1), others[0].clientX - area.left, others[0].clientY - area.top);
  } else if (view.zoom > 1) {
    view.x += event.clientX - before.clientX;
    view.y += event.clientY - before.clientY;
    settle();
  }
  fingers.set(event.pointerId, event);
});
const lift = (event) => { fingers.delete(event.pointerId); };
plane.addEventListener("pointerup", lift);
plane.addEventListener("pointercancel", lift);
plane.addEventListener("pointerleave", () => { hovered = -1; redraw(); });
plane.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && document.activeElement !== plane) return; // the page scrolls on
  event.preventDefault();
  const area = plane.getBoundingClientRect();
  zoomAt(Math.exp(-event.deltaY / 300), event.clientX - area.left, event.clientY - area.top);
}, { passive: false });
plane.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  if (step && view.zoom > 1) { view.x += step[0]; view.y += step[1]; settle(); event.preventDefault(); }
  if (event.key === "+" || event.key === "-") zoomMiddle(event.key === "+" ? 1.6 : 0.625);
});

const update = () => {
  const number = points.name.filter((_, i) => fits(i)).length;
  document.getElementById("map-count").value = `${number.toLocaleString("en")} of ${count.toLocaleString("en")} images fit`;
  redraw();
};
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("input", update);
controls.addEventListener("reset", () => setTimeout(() => { view = { zoom: 1, x: 0, y: 0 }; settle(); update(); }));
controls.addEventListener("click", (event) => { if (event.target.dataset.zoom) zoomMiddle(Number(event.target.dataset.zoom)); });
map.hidden = false;
atlas?.decode().then(redraw, () => {});
new ResizeObserver(settle).observe(plane);
update();
