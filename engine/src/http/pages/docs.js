"use strict";

// `validatorUrl` would send the document to a server of its authors.
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});

const at = (id) => document.getElementById(id);

function add(parent, name, text) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// What a feature may be: its categories, its range, its type.
function accepted(feature) {
  const { categories, range, type, unit } = feature;
  if (categories) {
    const first = categories.slice(0, 8).join(", ");
    return categories.length > 8 ? `${first}, … (${categories.length})` : first;
  }
  const [least, greatest] = range || [null, null];
  const bounds = least === null && greatest === null ? ""
    : least === null ? ` up to ${greatest}` : greatest === null ? ` from ${least}` : ` from ${least} to ${greatest}`;
  return type + bounds + (unit ? ` ${unit}` : "") + (feature.required ? ", required" : "");
}

// Labels, groups and names of the model's own features, as its manifest has them.
function features(schema) {
  const groups = new Map();
  for (const feature of schema.features) {
    const group = feature.group || "";
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(feature);
  }
  const list = at("features-list");
  for (const [group, members] of groups) {
    if (group) add(list, "h2", group);
    const rows = add(list, "dl");
    for (const feature of members) {
      const row = add(rows, "div");
      add(row, "dt", feature.name);
      const fact = add(row, "dd");
      if (feature.label) add(fact, "b", feature.label).append(" ");
      add(fact, "small", accepted(feature));
      if (feature.description) add(fact, "div", feature.description);
    }
  }
  const { name, version } = schema.model;
  at("model").textContent = `${name} ${version}`;
  document.title = `API of ${name} · Quintile`;
  at("features-title").textContent = `${schema.features.length} features of ${name}`;
  at("features").hidden = false;
}

fetch("v1/schema").then((answer) => answer.ok && answer.json()).then((schema) => schema && features(schema));
