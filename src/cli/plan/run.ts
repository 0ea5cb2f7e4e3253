import { openImageDir } from "../../criu/image-dir.ts";
import { refuseUnfinished } from "../../criu/store/unfinished.ts";
import { type CompileOptions, compileForest } from "../../plan/compile/compile.ts";
import type { HostFacts } from "../../plan/host-facts.ts";
import { withImageClocks } from "../../restore/image-clocks.ts";
import type { ImageLosable } from "../../restore/image-losable.ts";
import { withoutUnrestorable } from "../../restore/image-losses.ts";
import { requireMemory } from "../../restore/requirements.ts";
import type { GivenClock } from "../../understand/dead-clocks.ts";
import { believedImages } from "../believed-images.ts";
import { jsonText } from "../json-text.ts";
import type { Terminal } from "../terminal.ts";
import { planJson } from "./json.ts";
import { planText } from "./text.ts";

export interface PlanVerb {
	/** The image directory. */
	readonly images: string;
	readonly json: boolean;
	/** Every step; else long stages are folded. JSON has them anyway. */
	readonly verbose: boolean;
	/** Which process, where the images hold several. */
	readonly pid?: number;
	/** Believe the images, whoever wrote them. */
	readonly trust?: boolean;
	/** Nanoseconds. */
	readonly clock?: GivenClock;
	/** What may be dropped (--allow-lost). */
	readonly allowLost?: ReadonlySet<ImageLosable>;
	/** What to do about descriptors that cannot be opened again. */
	readonly policy?: CompileOptions;
}

/**
 * `necromancer plan -i DIR`: says what `restore` would do, call by call, and does nothing.
 *
 * @param facts measures this host.
 * @throws NecromancerError whatever is wrong with the images, and what cannot be restored.
 */
export async function planVerb(
	{
		images,
		json,
		verbose,
		pid,
		clock,
		allowLost,
		trust = false,
		policy = { fds: new Map(), missing: "error" },
	}: PlanVerb,
	{ out, paint }: Terminal,
	facts: () => HostFacts | Promise<HostFacts>,
): Promise<void> {
	refuseUnfinished(images);
	const dir = openImageDir(images);
	try {
		const { forest, findings } = believedImages(dir, pid, { trust, runs: false });
		requireMemory(forest, dir.path);
		const beyond = withoutUnrestorable(dir, forest, new Set(allowLost));
		const { forest: clocked, findings: told } = withImageClocks(beyond.forest, dir, clock);
		const compiled = compileForest(clocked, await facts(), policy);
		const plan = { ...compiled, findings: [...findings, ...beyond.findings, ...told, ...compiled.findings] };
		out(json ? jsonText(planJson(plan)) : planText(plan, paint, verbose));
	} finally {
		dir.close();
	}
}
