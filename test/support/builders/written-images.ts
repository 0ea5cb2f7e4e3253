import { writeNewDirectory } from "../../../src/criu/store/commit.ts";
import type { Task } from "../../../src/forest/task.ts";
import { type ImageOptions, imagesFromTask } from "../../../src/images/write/to-images.ts";

/** Writes a task into a new directory. Returns each finding as `weight subject: text`. */
export async function writeImagesOf(task: Task, out: string, options: Partial<ImageOptions> = {}): Promise<string[]> {
	const { draft, findings } = imagesFromTask(task, { pages: true, ...options });
	await writeNewDirectory(draft, undefined, out);
	return findings.map(({ weight, subject, text }) => `${weight} ${subject}: ${text}`);
}
