import type { Address } from "../../../src/bytes/address.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import type { Task } from "../../../src/forest/task.ts";
import { evidenceIn } from "../../../src/understand/evidence/evidence.ts";
import type { OpenObject } from "../../../src/understand/evidence/program-objects.ts";
import { type UnderstandOptions, type Understood, understand } from "../../../src/understand/understand.ts";

/** A host without any file, unless something is said of it. */
export interface OnHost extends Partial<UnderstandOptions> {
	readonly open?: OpenObject;
}

const nothing = (): undefined => undefined;

/** What a core alone makes of its process. */
export const understoodAlone = (dead: PartialTask, { open = nothing, ...options }: OnHost = {}): Understood =>
	understand(dead, evidenceIn(dead, open), undefined, { modeOf: nothing, ...options });

/** And with a donor. @param programBreak what libc's own variable says */
export function understoodWith(
	dead: PartialTask,
	donor: Task,
	{ open = nothing, programBreak, ...options }: OnHost & { readonly programBreak?: Address } = {},
): Understood {
	const evidence = evidenceIn(dead, open);
	const known =
		programBreak === undefined ? evidence : Object.create(evidence, { programBreak: { value: programBreak } });
	return understand(dead, known, donor, { modeOf: nothing, ...options });
}
