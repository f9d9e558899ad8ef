"use strict";
// Shows the sections of one rule or one severity. Without it every section is shown.
const form = document.querySelector(".filter");
const sections = [...document.querySelectorAll(".rule")];
const update = () => {
  const [rule, severity] = [form.elements.rule.value, form.elements.severity.value];
  let found = 0;
  sections.forEach((section) => {
    section.hidden = (rule !== "" && section.id !== rule) || (severity !== "" && section.dataset.severity !== severity);
    found += section.hidden ? 0 : Number(section.dataset.count);
  });
  document.getElementById("shown").value = `${found} findings`;
};
// A link to a rule leads nowhere while its section is hidden.
const showLinked = () => {
  const linked = document.getElementById(location.hash.slice(1));
  if (linked && linked.hidden) { form.reset(); update(); linked.scrollIntoView(); }
};
form.hidden = false;
form.addEventListener("input", update);
form.addEventListener("reset", () => setTimeout(update));
form.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", showLinked);
update();
