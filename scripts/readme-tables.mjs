// Rewrites the tables of README.md that follow from the code: node scripts/readme-tables.mjs (after a build).
import { readFileSync, writeFileSync } from "node:fs";
import { errorTable } from "../dist/errors.js";
import { findingCodes } from "../dist/finding.js";
import { attributeTable } from "../dist/forest/attribute-table.js";

const path = new URL("../README.md", import.meta.url);
const tables = {
	errors: [
		"| code | exit | meaning |",
		"|---|---|---|",
		...Object.entries(errorTable).map(([code, { exit, meaning }]) => `| \`${code}\` | ${exit} | ${meaning} |`),
	],
	attributes: [
		"| of a process | dump, restore | |",
		"|---|---|---|",
		...attributeTable.map(({ name, fate, remark = "" }) => `| ${name} | ${fate} | ${remark} |`),
	],
	findings: [
		"| finding | about |",
		"|---|---|",
		...Object.entries(findingCodes).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`),
	],
};
let text = readFileSync(path, "utf8");
for (const [name, rows] of Object.entries(tables))
	text = text.replace(
		new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(\n<!-- /${name} -->)`),
		(_, before, after) => `${before}${rows.join("\n")}${after}`,
	);
writeFileSync(path, text);
