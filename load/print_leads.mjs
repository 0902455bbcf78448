// The leads that score.js would send, a line each: node load/print_leads.mjs openapi.json 1000

import { readFileSync } from "node:fs";
import { features, lead } from "./leads.mjs";

const all = features(JSON.parse(readFileSync(process.argv[2], "utf8")));
for (let number = 0; number < Number(process.argv[3]); number += 1) console.log(JSON.stringify(lead(all, number)));
