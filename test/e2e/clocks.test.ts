import { describeClocks } from "../support/clock-deaths.ts";

describeClocks(["C with condition variables", "python3", "Node"]);
