import { createFile } from "../../../src/bytes/sink.ts";
import { writeCore } from "../../../src/core/write.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import type { Task } from "../../../src/forest/task.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import { isGone } from "../../../src/inputs/gone.ts";
import { hostFiles } from "../../../src/patch/host-files.ts";
import { coreOfTask } from "../../../src/rebuild/to-core.ts";

const SIGABRT = 6;

/** The core that images hold, as the kernel would have written it. With a lie in it, if one is wanted. */
export async function coreFromImages(
	images: string,
	path: string,
	lie: (task: Task) => Task = (task) => task,
): Promise<void> {
	const dir = openImageDir(images);
	const sink = createFile(path);
	const host = hostFiles();
	try {
		const task = lie(taskFromImages(dir));
		const siginfo = Buffer.alloc(128);
		siginfo.writeInt32LE(SIGABRT, 0);
		const death = { tid: task.identity.pid, siginfo };
		const file = (name: string) => {
			const here = host.open(name);
			return isGone(here) ? undefined : here.source;
		};
		await writeCore(coreOfTask(task, { file, death }).draft, sink);
	} finally {
		host.close();
		sink.close();
		dir.close();
	}
}
