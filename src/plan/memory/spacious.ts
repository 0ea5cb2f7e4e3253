import type { Mapping, Memory } from "../../forest/task.ts";
import { MADV, MAP } from "../../linux/mman.ts";
import type { Context } from "../context.ts";
import { isAdvised } from "./map.ts";
import type { Spacious } from "./read-plan.ts";

/** Where pages may come before their bytes: private memory of no file, and not a stack, whose end moves. */
export const spaciousOf = (
	mappings: readonly Mapping[],
	{ hugePagesDisabled = false }: Memory,
	{ facts }: Pick<Context, "facts">,
): Spacious[] =>
	mappings
		.filter(({ backing, flags }) => backing.kind === "anonymous" && (flags & UNLIKE) === 0)
		.map((mapping) => {
			const { start, end } = mapping;
			const huge = facts.hugePages !== "never" && !hugePagesDisabled && !isAdvised(mapping, MADV.NOHUGEPAGE);
			return { start, end, huge };
		});

const UNLIKE = MAP.GROWSDOWN | MAP.DROPPABLE | MAP.HUGETLB;
