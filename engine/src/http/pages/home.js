// Draws /v1/status. Everything is text or a shape with a class: the page allows no style in its markup.
"use strict";

const EVERY_MS = 2000;
const SLOTS = 90;
const SHORT_S = 2;
const HEIGHT = 120, FOOT = 18, LEFT = 46, TOP = 6;

const at = (id) => document.getElementById(id);
const say = (id, text) => { at(id).textContent = text; };

function shape(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function count(value) {
  if (value >= 1e6) return (value / 1e6).toFixed(1) + " M";
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

function time(us) {
  if (us === null) return "–";
  const [value, unit] = us < 1e3 ? [us, "µs"] : us < 1e6 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
  return Number(value.toPrecision(value < 10 ? 2 : 3)) + " " + unit;
}

function span(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [length, unit] of units) if (seconds >= length) return Math.floor(seconds / length) + " " + unit;
  return seconds + " s";
}

// The next of 1, 2, 5, 10, … at or above a value.
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

// A chart's ground: its size, its lines and the words at them. The newest slot is at the right.
function ground(id, ticks) {
  const svg = at(id);
  const width = svg.clientWidth;
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren();
  const bottom = HEIGHT - FOOT;
  const slot = (width - LEFT) / SLOTS;
  for (const [share, text] of ticks) {
    const y = bottom - share * (bottom - TOP);
    shape(svg, "line", { x1: LEFT, x2: width, y1: y, y2: y, class: "grid" });
    shape(svg, "text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, text);
  }
  for (const minutes of [15, 10, 5, 0]) {
    const x = width - minutes * 6 * slot;
    const anchor = minutes === 15 ? "start" : minutes === 0 ? "end" : "middle";
    shape(svg, "text", { x, y: HEIGHT - 3, "text-anchor": anchor }, minutes ? `−${minutes} min` : "now");
  }
  return {
    svg, slot, bottom,
    x: (index, steps) => width - (steps - index) * slot,
    y: (share) => bottom - share * (bottom - TOP),
  };
}

// A line through the values that are there, broken where there is none.
function line(chart, values, top, name) {
  let path = "", pen = "M";
  values.forEach((value, index) => {
    if (value === null) { pen = "M"; return; }
    const x = chart.x(index + 0.5, values.length), y = chart.y(Math.min(1, value / top));
    // A value that stands alone is a dash.
    const half = chart.slot / 2;
    path += pen === "M" ? `M${(x - half).toFixed(1)} ${y.toFixed(1)}h${half.toFixed(1)}` : `L${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  shape(chart.svg, "path", { d: path, class: name });
}

function drawScores(history, names) {
  const totals = history.scores.reduce((sums, step) => sums.map((sum, band) => sum + step[band]), Array(6).fill(0));
  const all = totals.reduce((sum, more) => sum + more, 0);
  const chart = ground("scores", [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]]);
  history.scores.forEach((step, index) => {
    const sum = step.reduce((total, more) => total + more, 0);
    let below = 0;
    step.forEach((leads, band) => {
      if (!leads) return;
      const share = leads / sum;
      const bar = shape(chart.svg, "rect", {
        x: chart.x(index, history.scores.length) + 0.5, width: Math.max(1, chart.slot - 1),
        y: chart.y(below + share), height: Math.max(0.5, share * (chart.bottom - TOP) - 0.5), class: "s" + band,
      });
      shape(bar, "title", {}, `score ${band || "none"}: ${count(leads)} of ${count(sum)} leads`);
      below += share;
    });
  });
  const key = at("mix");
  key.replaceChildren();
  for (let band = totals[0] ? 0 : 1; band < 6; band += 1) {
    if (band === 1 && totals[0] === all && all) break;
    const mark = document.createElement("i");
    mark.className = "s" + band;
    const name = band === 0 ? "none" : names ? `${band} ${names[band - 1]}` : String(band);
    const entry = document.createElement("span");
    entry.append(mark, all ? `${name}: ${Math.round((100 * totals[band]) / all)} %` : name);
    key.append(entry, " ");
  }
}

function drawRate(history, seconds) {
  const rates = history.requests.map((requests, index) => (seconds[index] ? requests / seconds[index] : null));
  const top = round(Math.max(1, ...rates));
  const chart = ground("rate", [[0, "0"], [0.5, count(top / 2)], [1, count(top)]]);
  const x = (index) => chart.x(index + 0.5, rates.length).toFixed(1);
  const known = rates.filter((rate) => rate !== null);
  const area = known.map((rate, index) => `L${x(index)} ${chart.y(rate / top).toFixed(1)}`).join("");
  if (area) shape(chart.svg, "path", { d: `M${x(0)} ${chart.bottom}${area}L${x(known.length - 1)} ${chart.bottom}Z`, class: "fill" });
  rates.forEach((rate, index) => {
    let below = 0;
    for (const [name, errors] of [["bad", history.server_errors[index]], ["warn", history.client_errors[index]]]) {
      if (!errors) continue;
      const share = errors / (seconds[index] || history.step_s) / top;
      // However few, they are seen.
      const height = Math.max(2, share * (chart.bottom - TOP));
      const bar = shape(chart.svg, "rect", {
        x: chart.x(index, rates.length), width: Math.max(1, chart.slot - 1), y: chart.bottom - below - height, height, class: name,
      });
      shape(bar, "title", {}, `${count(errors)} errors`);
      below += height;
    }
  });
  line(chart, rates, top, "line");
}

function drawLatency(history) {
  const top = round(Math.max(1, ...history.p99_us.filter((value) => value !== null)));
  const chart = ground("latency", [[0, "0"], [0.5, time(top / 2)], [1, time(top)]]);
  line(chart, history.p99_us, top, "line2");
  line(chart, history.p50_us, top, "line");
}

function facts(status) {
  const list = at("facts");
  list.replaceChildren();
  const { model, process } = status;
  for (const [name, value] of [
    ["format", model.format], ["features", count(model.features)], ["trees", count(model.trees)], ["kernel", model.kernel],
    ["runtime", process.runtime], ["shards", process.shards], ["up", span(status.uptime_s)], ["Quintile", process.version],
  ]) {
    const row = document.createElement("div"), term = document.createElement("dt"), fact = document.createElement("dd");
    term.textContent = name;
    fact.textContent = value;
    row.append(term, fact);
    list.append(row);
  }
}

function draw(status) {
  const { model, now, history } = status;
  document.title = `${model.name} · Quintile`;
  say("model", model.name);
  say("version", model.version);
  say("description", model.description || "");
  at("description").hidden = !model.description;
  at("models").hidden = !status.models;
  facts(status);
  say("leads", count(now.leads_per_s));
  say("requests", count(now.requests_per_s));
  say("p50", time(now.p50_us));
  say("p99", time(now.p99_us));
  const sum = (list) => list.reduce((total, more) => total + more, 0);
  const server = sum(history.server_errors), client = sum(history.client_errors);
  say("errors", count(client + server));
  at("errors").className = server ? "bad" : "";
  at("errors").title = `${count(client)} of clients (4xx), ${count(server)} of the server (5xx)`;
  at("quiet").hidden = sum(history.scores.flat()) > 0;
  // The last step has only begun: its rate is that of the seconds it has had, and none of too few.
  const last = history.last_step_s < SHORT_S ? null : history.last_step_s;
  const seconds = history.requests.map((_, index, all) => (index === all.length - 1 ? last : history.step_s));
  drawScores(history, model.band_names);
  drawRate(history, seconds);
  drawLatency(history);
  answers(status.recent);
}

// The last answers, the newest first: none where the server does not say.
function answers(recent) {
  at("recent").hidden = !recent || !recent.length;
  const list = at("answers");
  list.replaceChildren();
  for (const { lead_id, score, time_unix_ms } of recent || []) {
    const row = document.createElement("li"), mark = document.createElement("b"), id = document.createElement("span");
    const time = document.createElement("time"), when = new Date(time_unix_ms);
    mark.className = "s" + (score || 0);
    mark.textContent = score === null ? "–" : score;
    id.textContent = lead_id;
    id.title = lead_id;
    time.dateTime = when.toISOString();
    time.textContent = when.toLocaleTimeString();
    row.append(mark, id, time);
    list.append(row);
  }
}

let latest = null;

async function look() {
  try {
    const answer = await fetch("v1/status", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    latest = await answer.json();
    draw(latest);
    at("live").className = "up";
    say("live", "live");
  } catch {
    at("live").className = "down";
    say("live", "does not answer");
  }
}

async function run() {
  if (!document.hidden) await look();
  setTimeout(run, EVERY_MS);
}

addEventListener("resize", () => latest && draw(latest));
run();
