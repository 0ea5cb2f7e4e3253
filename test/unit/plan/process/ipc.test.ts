import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../../src/bytes/address.ts";
import type { Task } from "../../../../src/forest/task.ts";
import { compilePlan } from "../../../../src/plan/compile/compile.ts";
import { stepText } from "../../../../src/program/text.ts";
import { BOUNDS, SIMPLE, USER } from "../../../support/builders/several.ts";
import { SMALL_IPC } from "../../../support/builders/small-ipc.ts";
import { map, SOMEBODY, smallTask, smallThread } from "../../../support/builders/small-task.ts";
import { refusal } from "../../../support/refusal.ts";

const ROOT = { ...SOMEBODY, uid: 0, gid: 0, euid: 0, egid: 0, suid: 0, sgid: 0, fsuid: 0, fsgid: 0 };
const AT = 0x7000_0000_0000n;
const sysv = (page: number) => ({ kind: "sysv", id: 32771n, offset: fileOffset(page * 4096) }) as const;

function planned(task: Task) {
	const policy = { fds: new Map<number, string>(), missing: "error" as const };
	return compilePlan(task, SIMPLE.facts, policy);
}

const textOf = (task: Task, stages: readonly string[]): string[] =>
	planned(task)
		.lists.flatMap(({ steps }) => steps)
		.filter(({ stage, call }) => stages.includes(stage) && !["munmap", "pread64"].includes(call))
		.map(stepText);

const taskWith = (...pages: readonly number[]): Task =>
	smallTask({
		threads: [smallThread({ registers: USER, credentials: ROOT })],
		ipc: SMALL_IPC,
		memory: {
			mappings: pages.map((page, i) => map(AT + BigInt(i) * 0x10_0000n, 1, sysv(page), { shared: true })),
			contents: [],
			bounds: BOUNDS,
		},
	});

describe("System V's objects in a plan", () => {
	it("are made with their ids, then the settings are lowered to what they were", () => {
		const steps = textOf(taskWith(0), ["shared"]);
		expect(steps).toMatchInlineSnapshot(`
			[
			  "openat(AT_FDCWD, "/proc/sys/kernel/msgmnb", O_WRONLY|O_CLOEXEC) = success -> [descriptor of msgmnb]",
			  "write([descriptor of msgmnb], "20000", 5) = 5",
			  "close([descriptor of msgmnb]) = success",
			  "openat(AT_FDCWD, "/proc/sys/kernel/shm_next_id", O_WRONLY|O_CLOEXEC) = success -> [descriptor of shm_next_id]",
			  "pwrite64([descriptor of shm_next_id], "32771", 5, 0) = 5",
			  "setresgid(-1, 10, -1) = success",
			  "setresuid(-1, 9, -1) = success",
			  "shmget(0xdeadbeef, 9000, IPC_CREAT|IPC_EXCL|0600) = 32771",
			  "setresuid(-1, 0, -1) = success",
			  "setresgid(-1, 0, -1) = success",
			  "prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) = success",
			  "shmctl(32771, IPC_SET, &[owner of System V segment 32771]) = success",
			  "pwrite64([descriptor of shm_next_id], "2", 1, 0) = 1",
			  "shmget(0, 4096, IPC_CREAT|IPC_EXCL|0600) = 2",
			  "shmctl(2, IPC_SET, &[owner of System V segment 2]) = success",
			  "close([descriptor of shm_next_id]) = success",
			  "openat(AT_FDCWD, "/proc/sys/kernel/sem_next_id", O_WRONLY|O_CLOEXEC) = success -> [descriptor of sem_next_id]",
			  "pwrite64([descriptor of sem_next_id], "5", 1, 0) = 1",
			  "semget(5, 3, IPC_CREAT|IPC_EXCL|0600) = 5",
			  "semctl(5, 0, SETALL, &[values of System V semaphores 5]) = success",
			  "semctl(5, 0, IPC_SET, &[owner of System V semaphores 5]) = success",
			  "close([descriptor of sem_next_id]) = success",
			  "openat(AT_FDCWD, "/proc/sys/kernel/msg_next_id", O_WRONLY|O_CLOEXEC) = success -> [descriptor of msg_next_id]",
			  "pwrite64([descriptor of msg_next_id], "1", 1, 0) = 1",
			  "msgget(0x46, IPC_CREAT|IPC_EXCL|0600) = 1",
			  "msgsnd(1, &[message 0 of System V queue 1], 19, IPC_NOWAIT) = success",
			  "msgsnd(1, &[message 1 of System V queue 1], 0, IPC_NOWAIT) = success",
			  "msgctl(1, IPC_SET, &[owner of System V queue 1]) = success",
			  "close([descriptor of msg_next_id]) = success",
			  "openat(AT_FDCWD, "/proc/sys/kernel/sem", O_WRONLY|O_CLOEXEC) = success -> [descriptor of sem]",
			  "write([descriptor of sem], "100 2000 30 40", 14) = 14",
			  "close([descriptor of sem]) = success",
			  "openat(AT_FDCWD, "/proc/sys/kernel/msgmax", O_WRONLY|O_CLOEXEC) = success -> [descriptor of msgmax]",
			  "write([descriptor of msgmax], "4000", 4) = 4",
			  "close([descriptor of msgmax]) = success",
			  "openat(AT_FDCWD, "/proc/sys/kernel/msgmnb", O_WRONLY|O_CLOEXEC) = success -> [descriptor of msgmnb]",
			  "write([descriptor of msgmnb], "16384", 5) = 5",
			  "close([descriptor of msgmnb]) = success",
			  "openat(AT_FDCWD, "/proc/sys/kernel/shmmax", O_WRONLY|O_CLOEXEC) = success -> [descriptor of shmmax]",
			  "write([descriptor of shmmax], "1099511627776", 13) = 13",
			  "close([descriptor of shmmax]) = success",
			]
		`);
	});

	it("get their bytes where they are shown, and are detached from where they are not", () => {
		expect(textOf(taskWith(2), ["map", "protect"])).toMatchInlineSnapshot(`
			[
			  "shmat(32771, 0x200000429000, 0) = 0x200000429000",
			  "mremap(0x20000042b000, 0, 4096, MREMAP_MAYMOVE|MREMAP_FIXED, 0x700000000000) = 0x700000000000",
			  "shmdt(0x200000429000) = success",
			  "shmctl(2, IPC_RMID, NULL) = success",
			]
		`);
	});

	it("refuse a mapping of more than there is, or of none", () => {
		expect(refusal(() => planned(taskWith(3)))).toBe(
			"ERR_TASK_UNRUNNABLE mapping 0x700000000000: shows System V segment 32771 up to byte 16384, which has 9000",
		);
		const none = { ...taskWith(0), ipc: { ...SMALL_IPC, segments: [] } };
		expect(refusal(() => planned(none))).toBe(
			"ERR_TASK_UNRUNNABLE mapping 0x700000000000: shows System V segment 32771, which is not there",
		);
	});
});
