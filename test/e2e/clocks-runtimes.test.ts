import { describeClocks } from "../support/lives/clock-deaths.ts";

// A file of their own, for they take as long as all the others together.
describeClocks(["Go", "Java"]);
