import { describeClocks } from "../support/lives/clock-deaths.ts";

describeClocks(["C with condition variables", "python3", "Node"]);
