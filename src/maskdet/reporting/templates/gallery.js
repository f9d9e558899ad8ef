"use strict";
// Filters, sorts and enlarges the gallery. Without it every card is shown in the order of the page.
const PAGE_SIZE = 24;
const form = document.querySelector(".filter");
const list = document.querySelector(".cards");
const more = document.querySelector(".more");
const reasons = JSON.parse(document.getElementById("reasons").textContent);
const cards = [...list.children].map((element, order) => ({
  element,
  order,
  groups: element.dataset.groups.split(" "),
  fold: element.dataset.fold,
  f1: element.dataset.f1 === "" ? null : Number(element.dataset.f1),
  boxes: JSON.parse(element.dataset.boxes).map(([classes, kind, third, score, size]) => ({ classes, kind, third, score, size })),
}));
let limit = PAGE_SIZE;

const setting = (name) => form.elements[name].value;
const bound = (name, otherwise) => (setting(name) === "" ? otherwise : Number(setting(name)));

const fits = (box, wanted) =>
  (wanted.class === "" || box.classes.includes(Number(wanted.class))) &&
  (wanted.kind === "" || (wanted.kind === "wrong" ? box.kind !== "hit" : box.kind === wanted.kind)) &&
  (wanted.third === "" || box.third === Number(wanted.third)) &&
  // A missed face has no score: it fits as long as no score is asked for.
  (box.score === null ? wanted.low <= 0 && wanted.high >= 1 : box.score >= wanted.low && box.score <= wanted.high);

const chosen = () => {
  const wanted = { class: setting("class"), kind: setting("kind"), third: setting("third"), low: bound("low", 0), high: bound("high", 1) };
  const asksForBoxes = wanted.class !== "" || wanted.kind !== "" || wanted.third !== "" || wanted.low > 0 || wanted.high < 1;
  return cards
    .filter((card) => (setting("show") === "" || card.groups.includes(setting("show"))) && (setting("fold") === "" || card.fold === setting("fold")))
    .map((card) => ({ card, boxes: card.boxes.filter((box) => fits(box, wanted)) }))
    .filter(({ boxes }) => !asksForBoxes || boxes.length > 0);
};

// The value of a card is that of the box, among those that fit the filters, that comes first in this direction.
const valueOf = ({ card, boxes }, key, sign) => {
  const values = key === "f1" ? [card.f1] : boxes.map((box) => box[key]);
  const known = values.filter((value) => value !== null).map((value) => sign * value);
  return known.length === 0 ? null : Math.min(...known);
};

const sorted = (found) => {
  const [key, direction] = setting("sort").split("-");
  if (key === "") return found;
  const sign = direction === "up" ? 1 : -1;
  const valued = found.map((item) => ({ ...item, value: valueOf(item, key, sign) }));
  return valued.sort((a, b) => (a.value === null) - (b.value === null) || a.value - b.value || a.card.order - b.card.order);
};

const update = () => {
  const found = sorted(chosen());
  cards.forEach((card) => { card.element.hidden = true; });
  found.forEach(({ card }, place) => { card.element.hidden = place >= limit; list.append(card.element); });
  const visible = Math.min(limit, found.length);
  document.getElementById("shown").value = `${visible} of ${found.length} cards that fit, of ${cards.length} on this page`;
  more.hidden = visible === found.length;
  more.textContent = `Show ${Math.min(PAGE_SIZE, found.length - visible)} more`;
  const why = document.getElementById("why");
  why.hidden = setting("show") === "";
  why.textContent = why.hidden ? "" : `${reasons[setting("show")].join(": ")}.`;
};
const restart = () => { limit = PAGE_SIZE; update(); };

form.hidden = false;
form.addEventListener("input", restart);
form.addEventListener("reset", () => setTimeout(restart));
form.addEventListener("submit", (event) => event.preventDefault());
more.addEventListener("click", () => { limit += PAGE_SIZE; update(); });

const dialog = document.querySelector("dialog");
let current = null;
const show = (button) => {
  current = button;
  const view = button.querySelector(".view").cloneNode(true);
  dialog.querySelector(".stage").replaceChildren(view);
  dialog.querySelector("p").textContent = view.getAttribute("aria-label");
};
const step = (direction) => {
  const buttons = [...list.querySelectorAll(".panels button")].filter((button) => button.offsetParent !== null);
  show(buttons[(buttons.indexOf(current) + direction + buttons.length) % buttons.length]);
};
list.addEventListener("click", (event) => {
  const button = event.target.closest(".panels button");
  if (button) { show(button); dialog.showModal(); }
});
dialog.addEventListener("click", (event) => {
  if (event.target.dataset.step) step(Number(event.target.dataset.step));
  else if (event.target.tagName !== "P") dialog.close();
});
dialog.addEventListener("close", () => current.focus());
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
restart();
