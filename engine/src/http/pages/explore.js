"use strict";

const LEAD = "explore";
const REASONS = 12;
const POINTS = 72;
const WAIT_MS = 60;

const at = (id) => document.getElementById(id);
let schema, chosen, waiting, asked = 0, drawn = 0, key = "";
const fields = new Map();

function add(parent, name, text) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function draw(parent, name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  parent.append(element);
  return element;
}

const round = (number, digits = 4) => Number(number.toPrecision(digits));

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  if (key) Object.assign(headers, { authorization: `Bearer ${key}`, "x-api-key": key });
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (answer.status === 401 || answer.status === 403) at("access").hidden = false;
  return { ok: answer.ok, json: await answer.json() };
}

// The values of the form, as a request has them; nothing is null.
function lead() {
  const features = {};
  for (const [name, field] of fields) {
    const text = field.input.value;
    if (text === "") features[name] = null;
    else if (field.feature.type === "boolean") features[name] = text === "true";
    else if (field.feature.categories) features[name] = text;
    else features[name] = Number(text);
  }
  return features;
}

// Between which values a feature is shown.
function span(feature, value) {
  const [least, greatest] = feature.range || [null, null];
  const seen = feature.seen || [null, null];
  const low = least ?? seen[0] ?? Math.min(0, value ?? 0);
  const high = greatest ?? seen[1] ?? Math.max(10, 2 * (value ?? 0));
  return high > low ? [low, high] : [low, low + 1];
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(score, WAIT_MS);
}

function set(name, value) {
  const field = fields.get(name);
  if (!field) return false;
  field.input.value = value === null || value === undefined ? "" : String(value);
  if (field.slider) slide(field.slider, value);
  return true;
}

// A value beyond the slider's range makes that wider.
function slide(slider, value) {
  if (value > Number(slider.max)) slider.max = value;
  if (value < Number(slider.min)) slider.min = value;
  slider.value = value ?? slider.min;
}

function choose(name) {
  if (chosen === name) return;
  for (const [other, field] of fields) field.row.classList.toggle("chosen", other === name);
  chosen = name;
  curve();
}

function option(select, value, text) {
  add(select, "option", text).value = value;
}

function control(row, feature, id) {
  if (!feature.categories && feature.type !== "boolean") {
    const input = add(row, "input");
    input.type = "number";
    input.step = feature.type === "integer" ? "1" : "any";
    input.placeholder = "not known";
    return input;
  }
  const select = add(row, "select");
  option(select, "", "not known");
  if (feature.categories) for (const name of feature.categories) option(select, name, name);
  else for (const flag of ["false", "true"]) option(select, flag, flag === "true" ? "yes" : "no");
  return select;
}

function field(parent, feature, number) {
  const row = add(parent, "div");
  row.className = "field";
  const id = `f${number}`;
  const label = add(row, "label", feature.label || feature.name);
  label.htmlFor = id;
  const told = [feature.label ? feature.name : "", feature.unit || "", feature.description || ""].filter(Boolean);
  if (told.length) add(label, "small", ` ${told.join(" · ")}`);
  const input = control(row, feature, id);
  input.id = id;
  input.name = feature.name;
  let slider = null;
  if (input.type === "number") {
    const [low, high] = span(feature, null);
    slider = add(row, "input");
    slider.type = "range";
    [slider.min, slider.max] = [low, high];
    slider.step = feature.type === "integer" ? 1 : (high - low) / 200;
    slider.setAttribute("aria-label", `${feature.label || feature.name}, by hand`);
    slider.addEventListener("input", () => {
      input.value = String(feature.type === "integer" ? Number(slider.value) : round(Number(slider.value)));
      choose(feature.name);
      later();
    });
    slider.addEventListener("focus", () => choose(feature.name));
  }
  input.addEventListener("input", () => {
    if (slider && input.value !== "") slide(slider, Number(input.value));
    later();
  });
  input.addEventListener("focus", () => choose(feature.name));
  fields.set(feature.name, { feature, row, input, slider });
}

function form() {
  const groups = new Map();
  for (const feature of schema.features) {
    const group = feature.group || "";
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(feature);
  }
  let number = 0;
  for (const [group, members] of groups) {
    const set = add(at("features"), "section");
    if (group) add(set, "h2", group);
    for (const feature of members) field(set, feature, number++);
  }
}

function faults(error) {
  for (const field of fields.values()) field.input.removeAttribute("aria-invalid");
  at("fault").textContent = "";
  if (!error) return;
  const list = error.faults || [];
  for (const fault of list) {
    const name = fault.pointer.replace("/features/", "").replace(/~1/g, "/").replace(/~0/g, "~");
    fields.get(name)?.input.setAttribute("aria-invalid", "true");
  }
  const words = list.map((fault) => `${fault.pointer.replace("/features/", "")} ${fault.message}`);
  at("fault").textContent = words.length ? words.join("; ") : error.message || error.code;
}

async function score() {
  const turn = ++asked;
  const body = { lead_id: LEAD, features: lead() };
  let { ok, json } = await post(`score?explain=${REASONS}`, body);
  // A model that cannot be explained has a score all the same.
  const isExplained = ok || json.error?.code !== "not_explainable";
  if (!isExplained) ({ ok, json } = await post("score?explain=0", body));
  if (turn !== asked) return;
  faults(ok ? null : json.error);
  if (!ok) return;
  const shown = at("score");
  shown.replaceChildren();
  add(shown, "b", json.score ?? "–");
  const prediction = json.probability ?? json.prediction ?? json.predictions?.[0];
  const name = json.score && schema.bands?.names?.[json.score - 1];
  if (name) add(shown, "span", name);
  if (prediction !== undefined && prediction !== null) {
    add(shown, "span", json.probability !== undefined ? `${round(100 * prediction)} %` : String(round(prediction)));
  }
  why(json, isExplained);
  curve();
}

function why(json, isExplained) {
  const list = at("reasons");
  list.replaceChildren();
  at("others").textContent = isExplained ? "" : "This model's scores cannot be explained.";
  if (!json.reasons) return;
  const most = Math.max(...json.reasons.map((reason) => Math.abs(reason.contribution)), 1e-12);
  for (const reason of json.reasons) {
    const item = add(list, "li");
    const value = reason.value === undefined ? "" : reason.value === null ? " (not known)" : ` = ${reason.value}`;
    const isPlain = reason.text === (reason.label || reason.feature);
    add(item, "span", isPlain ? reason.text + value : reason.text);
    const svg = draw(item, "svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" });
    const width = (50 * Math.abs(reason.contribution)) / most;
    const x = reason.contribution > 0 ? 50 : 50 - width;
    draw(svg, "rect", { x, y: 1, width, height: 10, class: reason.direction });
    const amount = add(item, "b", (reason.contribution > 0 ? "+" : "−") + round(Math.abs(reason.contribution), 3));
    amount.title = reason.direction;
    amount.setAttribute("aria-label", `${reason.direction} by ${round(Math.abs(reason.contribution), 3)}`);
  }
  const { bias, others } = json.explained;
  at("others").textContent = `Bias ${round(bias, 3)}, all others ${round(others, 3)}. Bars are in units of the margin.`;
}

// The values at which the curve is computed.
function points(feature, value) {
  if (feature.categories) return feature.categories;
  if (feature.type === "boolean") return [false, true];
  const [low, high] = span(feature, value);
  const step = (high - low) / (POINTS - 1);
  const all = Array.from({ length: POINTS }, (_, number) => low + number * step);
  return feature.type === "integer" ? [...new Set(all.map(Math.round))] : all.map((number) => round(number, 6));
}

async function curve() {
  const field = fields.get(chosen);
  if (!field) return;
  const { feature } = field;
  const turn = ++drawn;
  const features = lead();
  const today = features[feature.name];
  const values = points(feature, today);
  const leads = values.map((value) => ({ lead_id: LEAD, explain: 0, features: { ...features, [feature.name]: value } }));
  const { ok, json } = await post("score/batch", { leads });
  if (turn !== drawn || !ok) return;
  const of = (result) => result.probability ?? result.prediction ?? result.predictions?.[0];
  const results = json.results.map((result, number) => ({ value: values[number], number, y: of(result), score: result.score }));
  const known = results.filter((result) => typeof result.y === "number");
  const svg = at("curve");
  svg.replaceChildren();
  const name = feature.label || feature.name;
  at("curve-title").textContent = `Over ${name}`;
  if (!known.length) {
    at("curve-note").textContent = "No value of this feature can be scored.";
    return;
  }
  const low = Math.min(...known.map((point) => point.y));
  const high = Math.max(...known.map((point) => point.y));
  const x = (number) => 10 + (580 * number) / Math.max(1, values.length - 1);
  const y = (value) => 175 - (155 * (value - low)) / (high - low || 1);
  draw(svg, "line", { x1: 10, x2: 590, y1: 175, y2: 175, class: "grid" });
  let path = "";
  for (const point of known) path += path ? `H${x(point.number)}V${y(point.y)}` : `M${x(point.number)} ${y(point.y)}`;
  draw(svg, "path", { d: path });
  const place = values.indexOf(today);
  const isNumber = typeof today === "number";
  const share = isNumber ? (today - values[0]) / (values[values.length - 1] - values[0] || 1) : 0;
  const mark = isNumber ? 10 + 580 * Math.min(1, Math.max(0, share)) : place < 0 ? null : x(place);
  if (mark !== null) draw(svg, "line", { x1: mark, x2: mark, y1: 15, y2: 175, class: "today" });
  draw(svg, "text", { x: 10, y: 192 }).textContent = String(values[0]);
  draw(svg, "text", { x: 590, y: 192, "text-anchor": "end" }).textContent = String(values[values.length - 1]);
  draw(svg, "text", { x: 10, y: 12 }).textContent = String(round(high, 3));
  const scores = [...new Set(known.map((point) => point.score))].filter((score) => score !== null).sort();
  const told = today === null ? "not known today" : `today ${today}`;
  const words = `Prediction from ${round(low, 3)} to ${round(high, 3)}, scores ${scores.join(", ") || "none"}; ${told}.`;
  svg.setAttribute("aria-label", `${name}: ${words}`);
  at("curve-note").textContent = words;
}

async function find() {
  const list = at("changes");
  list.replaceChildren();
  const { ok, json } = await post(`score?explain=0&target=${at("target").value}`, { lead_id: LEAD, features: lead() });
  if (!ok) {
    add(list, "li", json.error.message || json.error.code);
    return;
  }
  const { changes, text } = json.target;
  if (!changes.length) add(list, "li", text);
  for (const change of changes) {
    const item = add(list, "li");
    add(item, "span", change.text);
    const button = add(item, "button", "Try it");
    button.type = "button";
    button.setAttribute("aria-label", `Try it: ${change.text}`);
    button.addEventListener("click", () => {
      for (const one of change.features) {
        const isFlag = fields.get(one.feature)?.feature.type === "boolean";
        set(one.feature, isFlag ? Boolean(one.to) : one.to);
      }
      choose(change.features[0].feature);
      later();
    });
  }
}

function use() {
  at("paste-fault").textContent = "";
  let pasted;
  try {
    pasted = JSON.parse(at("paste").value);
  } catch (error) {
    at("paste-fault").textContent = `This is not JSON: ${error.message}`;
    return;
  }
  const features = pasted?.features ?? pasted;
  if (typeof features !== "object" || features === null || Array.isArray(features)) {
    at("paste-fault").textContent = "A lead is an object: {\"lead_id\": …, \"features\": {…}}";
    return;
  }
  for (const name of fields.keys()) set(name, null);
  const strange = Object.entries(features).filter(([name, value]) => !set(name, value)).map(([name]) => name);
  if (strange.length) at("paste-fault").textContent = `The model has no such feature: ${strange.join(", ")}`;
  later();
}

async function start() {
  const headers = key ? { authorization: `Bearer ${key}`, "x-api-key": key } : {};
  const [described, document_] = await Promise.all(["v1/schema", "openapi.json"].map((path) => fetch(path, { headers })));
  if (!described.ok) {
    at("access").hidden = described.status !== 401 && described.status !== 403;
    at("fault").textContent = `The model's schema cannot be had: ${described.status}`;
    return;
  }
  schema = await described.json();
  const { name, version } = schema.model;
  at("model").textContent = name;
  at("version").textContent = version;
  document.title = `Explore ${name} · Quintile`;
  at("features").replaceChildren();
  fields.clear();
  form();
  const example = document_.ok && (await document_.json()).components?.examples?.Lead?.value;
  if (example) {
    at("paste").value = JSON.stringify(example, null, 1);
    for (const [feature, value] of Object.entries(example.features)) set(feature, value);
  }
  await score();
  choose(schema.features[0]?.name);
}

at("features").addEventListener("submit", (event) => event.preventDefault());
at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value;
  at("access").hidden = true;
  start();
});
at("use").addEventListener("click", use);
at("clear").addEventListener("click", () => {
  for (const name of fields.keys()) set(name, null);
  later();
});
at("find").addEventListener("click", find);
start();
