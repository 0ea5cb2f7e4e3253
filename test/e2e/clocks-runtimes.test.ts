import { describeClocks } from "../support/clock-deaths.ts";

// A file of their own, for they take as long as all the others together.
describeClocks(["Go", "Java"]);
