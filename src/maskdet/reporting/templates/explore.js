"use strict";
// Figures answer when pointed at, and open large. Without it they are still pictures with captions and tables.
const tip = document.getElementById("tip");

// What an element tells at a point: its text, or that of the grid's cell.
const told = (element, event) => {
  if (element.dataset.tip !== undefined) return element.dataset.tip;
  const rows = element.rows ?? (element.rows = JSON.parse(element.dataset.grid));
  const area = element.getBoundingClientRect();
  const cell = (share, count) => Math.min(Math.max(Math.floor(share * count), 0), count - 1);
  const row = rows[cell((event.clientY - area.top) / area.height, rows.length)];
  return row[cell((event.clientX - area.left) / area.width, row.length)];
};

const showTip = (text, event) => {
  tip.hidden = false;
  tip.textContent = text;
  const gap = 14;
  const left = event.clientX + gap + tip.offsetWidth > innerWidth ? event.clientX - gap - tip.offsetWidth : event.clientX + gap;
  const above = event.clientY - gap - tip.offsetHeight;
  tip.style.left = `${Math.max(Math.min(left, innerWidth - tip.offsetWidth - 4), 4)}px`;
  tip.style.top = `${above < 4 ? event.clientY + gap : above}px`;
};
const hideTip = () => { tip.hidden = true; };

const point = (event) => {
  const element = event.target.closest?.("[data-tip], [data-grid]");
  if (element) showTip(told(element, event), event);
  else if (!event.target.closest?.("#map")) hideTip();
};
document.addEventListener("pointermove", point);
document.addEventListener("pointerdown", point);
addEventListener("scroll", hideTip, { passive: true });

const dialog = document.querySelector("dialog");
let opened = null;
const enlarge = (button) => {
  const figure = button.closest("figure");
  const svg = figure.querySelector(".drawing > svg");
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  opened = { button, svg, home: svg.parentElement };
  opened.home.style.minHeight = `${opened.home.offsetHeight}px`; // so that the page behind keeps its place
  svg.style.setProperty("--aspect", width / height);
  dialog.querySelector(".stage").replaceChildren(svg);
  dialog.querySelector("p").textContent = figure.querySelector("figcaption").textContent;
  dialog.append(tip); // an open dialog lies above everything else
  dialog.showModal();
};
for (const button of document.querySelectorAll(".enlarge")) {
  button.hidden = false;
  button.addEventListener("click", () => enlarge(button));
}
dialog.addEventListener("click", (event) => { if (event.target.closest("[data-close]")) dialog.close(); });
dialog.addEventListener("close", () => {
  opened.home.append(opened.svg);
  opened.home.style.minHeight = "";
  document.body.append(tip);
  hideTip();
  opened.button.focus();
});
