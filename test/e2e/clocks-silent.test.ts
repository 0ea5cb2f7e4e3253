import { describeClocks } from "../support/lives/clock-deaths.ts";

// Nobody in them waits for a time: of a core alone only what they had read tells by which clock they lived.
describeClocks(["C with relative waits", "Node in its script"]);
