import { isatty } from "node:tty";
import { refuse } from "../errors.ts";
import { readLink } from "../proc/links.ts";

/** The device file of the terminal that one of our standard streams is. */
export function ourTerminal(option: string): string {
	for (const fd of [0, 1, 2]) if (isatty(fd)) return readLink("self", `fd/${fd}`);
	return refuse("ERR_USAGE", {
		subject: option,
		finding: "none of our standard streams is a terminal",
		expectation: "expected one to hand on",
		remedy: "name files with --fd N=PATH",
	});
}
