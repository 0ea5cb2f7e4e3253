import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		setupFiles: ["test/support/stray-descriptors.ts", "test/support/laws-seed.ts"],
		// real processes on a loaded machine: what fails once is tried again, and vitest says so
		retry: process.env["CI"] === undefined ? 0 : 2,
		testTimeout: 60_000,
		hookTimeout: 60_000,
		// vitest prints the seed; `npm test -- --sequence.seed=N` runs in that order again
		sequence: { shuffle: { files: true, tests: true } },
		// the rule is one less, which on two processors is half of them: most tests wait for other processes anyway
		maxWorkers: availableParallelism(),
		minWorkers: 1,
	},
});
