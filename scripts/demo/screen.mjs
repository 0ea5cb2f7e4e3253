// What the demo prints. No library: it has to work before anything is installed.

const coloured = (env, stream) => {
	if (env.NO_COLOR) return false;
	if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== "0";
	return stream.isTTY === true && env.TERM !== "dumb";
};
const on = coloured(process.env, process.stdout);
const style = (start, end) => (text) => (on ? `\u001b[${start}m${text}\u001b[${end}m` : text);

export const bold = style(1, 22);
const dim = style(2, 22);
const green = style(32, 39);
const red = style(31, 39);

const print = (text) => process.stdout.write(`${text}\n`);
let steps = 0;

/** A heading, numbered. */
export const step = (title) => print(`\n${bold(`${++steps}. ${title}`)}`);
/** What is so. */
export const say = (text) => print(`   ${text}`);
/** What somebody else wrote. */
export const quote = (text) => print(dim(`   | ${text}`));
/** A command line, before it is run. */
export const command = (line) => print(`   ${green("$")} ${line}`);
export const success = (text) => print(`\n${green(bold(text))}`);
export const failure = (text) => process.stderr.write(`\n${red(bold(`demo: ${text}`))}\n`);

/** `79 MiB` */
export const sizeText = (bytes) => {
	const units = ["bytes", "KiB", "MiB", "GiB"];
	let unit = 0;
	let amount = Number(bytes);
	for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
	return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
};
