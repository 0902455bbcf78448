// Leads that a server accepts, made from its own /openapi.json. Knows nothing of k6, so that node can run it too
// (print_leads.mjs).

// A number in [0, 1) from two whole numbers, the same on each machine: k6 has no seed.
export function chance(seed, step) {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(step + 1, 0x85ebca6b)) >>> 0;
  state = Math.imul(state ^ (state >>> 16), 0x45d9f3b) >>> 0;
  state = Math.imul(state ^ (state >>> 16), 0x45d9f3b) >>> 0;
  return ((state ^ (state >>> 16)) >>> 0) / 2 ** 32;
}

// What /openapi.json says of each feature: name, how to make a value, whether it may be left out.
export function features(openapi) {
  const schema = openapi.components.schemas.Features;
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties).map(([name, property]) => ({
    name,
    optional: !required.has(name),
    value: maker(property),
  }));
}

// One lead as the API takes it. A fifth of the values that may be missing are null, a fifth are left out.
export function lead(all, number) {
  const values = {};
  all.forEach((feature, place) => {
    const turn = chance(number, 2 * place);
    if (feature.optional && turn < 0.2) return;
    if (feature.optional && turn < 0.4) values[feature.name] = null;
    else values[feature.name] = feature.value(chance(number, 2 * place + 1));
  });
  return { lead_id: `load-${number}`, features: values };
}

function maker(property) {
  if (property.enum) {
    const words = property.enum.filter((word) => word !== null);
    return (turn) => words[Math.floor(turn * words.length)];
  }
  const one = property.anyOf ?? property.oneOf;
  if (one) return maker(one.find((choice) => choice.type !== "null"));
  const types = [property.type].flat();
  // Between 0 and 100, or as near as the model's range allows.
  const low = Math.max(property.minimum ?? property.exclusiveMinimum ?? 0, Math.min(0, property.maximum ?? 0));
  const high = Math.min(property.maximum ?? property.exclusiveMaximum ?? 100, Math.max(100, low));
  if (types.includes("integer")) return (turn) => Math.ceil(low) + Math.floor(turn * (Math.floor(high) - Math.ceil(low) + 1));
  if (types.includes("number")) return (turn) => low + turn * (high - low) * 0.999 + (high - low) * 0.0005;
  throw new Error(`no value can be made for ${JSON.stringify(property)}`);
}
