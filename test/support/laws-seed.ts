import fc from "fast-check";

// CI judges a change by what it changed, so it sees the same cases every time. Everywhere else chance looks for new ones;
// LAWS_SEED repeats a run, LAWS_RUNS deepens it.
const { CI, LAWS_SEED, LAWS_RUNS } = process.env;
const seed = LAWS_SEED ?? (CI === undefined ? undefined : "20261121");

fc.configureGlobal({
	...(seed === undefined ? {} : { seed: Number(seed) }),
	...(LAWS_RUNS === undefined ? {} : { numRuns: Number(LAWS_RUNS) }),
});
