import { rehearseRaise } from "../../raise/raise.ts";
import { untilInterrupted } from "../interrupt.ts";
import { jsonText } from "../json-text.ts";
import type { RaiseChoices } from "../raise-choices.ts";
import type { Terminal } from "../terminal.ts";
import { withCore } from "../with-core.ts";
import { planJson } from "./json.ts";
import { planText } from "./text.ts";

export interface PlanCoreVerb extends RaiseChoices {
	readonly json: boolean;
	/** Every step; else long stages are folded. JSON has them anyway. */
	readonly verbose: boolean;
}

/**
 * `necromancer plan CORE`: says what `raise` would do, call by call. It opens what `raise` opens, and refuses what `raise` refuses.
 *
 * @throws NecromancerError as `raise` does before it makes anything.
 */
export async function planCoreVerb(verb: PlanCoreVerb, terminal: Terminal): Promise<void> {
	const { plan, findings } = await untilInterrupted((signal) =>
		withCore(verb, terminal, { signal, quiet: verb.json }, rehearseRaise),
	);
	const told = { ...plan, findings };
	terminal.out(verb.json ? jsonText(planJson(told)) : planText(told, terminal.paint, verb.verbose));
}
