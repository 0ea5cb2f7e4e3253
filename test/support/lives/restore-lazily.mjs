// Restores images lazily and leaves the process stopped: `node restore-lazily.mjs DIST IMAGES`, in a pid namespace of its own. Prints where
// files show, as JSON.
import { join } from "node:path";

const [, , dist, images] = process.argv;
const { restore } = await import(join(dist, "restore/restore.js"));
const { openImageDir } = await import(join(dist, "criu/image-dir.js"));
const { forestFromImages } = await import(join(dist, "images/read/from-images.js"));

const dir = openImageDir(images);
const restored = await restore(forestFromImages(dir), { stopped: true, lazy: true, fds: new Map(), missing: "error" });
await restored.release();
dir.close();
