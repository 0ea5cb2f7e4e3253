import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openFile } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { judgedFor } from "../support/builders/judged.ts";
import { understoodAlone } from "../support/builders/understood.ts";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, coresLandHere, linesOf, openRoom, type Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasGcc, hasTool, need } from "../support/tools.ts";

// Processes that die, and live again by nothing but their core.

const able = canHaveRooms() && coresLandHere();
const needs = able ? "" : " (needs root, unshare, nsenter and a core_pattern that is a plain name)";
const gcc = hasGcc();
const asyncio = need("python3 with asyncio", hasTool("python3") && runs("python3", "-c", "import asyncio"));

function runs(command: string, ...args: readonly string[]): boolean {
	return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

const directory = mkdtempSync(join(tmpdir(), "necromancer-deduce-"));
let dist = "";
beforeAll(() => {
	dist = built();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

/** Compiles a program into the room. */
function compiled(room: Room, name: string, source: string, ...options: readonly string[]): string {
	const program = join(room.temporary, name);
	writeFileSync(`${program}.c`, source);
	execFileSync("gcc", ["-O1", "-w", "-pthread", ...options, "-o", program, `${program}.c`]);
	return program;
}

// Runs a program until it has written some lines, and kills it; a shell, for it must be reaped where it died.
const death = `
cd "$1"; shift
signal=$1; shift
ulimit -c unlimited
if [ "$1" = log ]; then shift; "$@" log >/dev/null 2>&1 & else "$@" >log 2>/dev/null & fi
pid=$!
for i in $(seq 500); do [ "$(wc -l <log 2>/dev/null || echo 0)" -ge 4 ] && break; sleep 0.02; done
kill -"$signal" "$pid"
wait "$pid"
echo "$pid"
`;

interface Dead {
	readonly room: Room;
	readonly pid: number;
	readonly core: string;
	readonly log: string;
	readonly lines: readonly string[];
}

/** @param command with `log` in front, it is given the name of its log; else its output is the log. */
async function dead(signal: string, command: (room: Room) => readonly string[]): Promise<Dead> {
	const room = await openRoom();
	rooms.push(room);
	const words = command(room);
	const { stdout } = room.run(["sh", "-c", death, "sh", room.temporary, signal, ...words]);
	const log = join(room.temporary, "log");
	const core = join(room.temporary, present(readdirSync(room.temporary).find((name) => /^core/.test(name))));
	const lines = readFileSync(log, "utf8").split("\n").slice(0, -1);
	expect(lines.length).toBeGreaterThanOrEqual(4);
	return { room, pid: Number(stdout), core, log, lines };
}

/** Lets it live again, and yields the lines that it wrote from then on. */
async function revived({ room, pid, core, log, lines }: Dead, fd: number): Promise<string[]> {
	const script = join(import.meta.dirname, "../support/lives/raise-core.mjs");
	const { status, stdout, stderr } = room.run([process.execPath, script, dist, core, `${fd}=${log}`]);
	expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${pid}\n`, stderr: "" });
	const all = await linesOf(log, lines.length + MORE);
	expect(all.slice(0, lines.length)).toEqual(lines);
	expect(room.pids()).toEqual([pid]);
	return all.slice(lines.length);
}

const MORE = 4;

/** The numbers that lines begin or end with rise by one from the last before the death. */
function expectCounting(before: readonly string[], after: readonly string[]): void {
	const numberOf = (line: string | undefined): number => Number(/\d+/.exec(line ?? "")?.[0]);
	const last = numberOf(before.at(-1));
	expect(after.length).toBeGreaterThanOrEqual(MORE);
	expect(after.map(numberOf)).toEqual(after.map((_, i) => last + 1 + i));
}

// libc says once for the whole life of a process how its threads are cancelled: by the handler of a signal
const CANCEL = `
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static void *sleeper(void *unused) { for (;;) pause(); return unused; }
int main(int c, char **v) {
	int log = open(v[1], O_WRONLY | O_CREAT | O_APPEND, 0644), n = 0;
	for (;;) {
		pthread_t t; void *end = 0;
		struct timespec ts = {0, 30000000};
		pthread_create(&t, 0, sleeper, 0);
		nanosleep(&ts, 0);
		pthread_cancel(t);
		pthread_join(t, &end);
		setuid(getuid());
		dprintf(log, "round %d %s\\n", ++n, end == PTHREAD_CANCELED ? "cancelled" : "returned");
	}
}
`;

// a thread wakes the loop of asyncio through a pair of sockets, each round
const ASYNCIO = `
import asyncio, time
async def main():
    n = 0
    loop = asyncio.get_running_loop()
    while True:
        await loop.run_in_executor(None, time.sleep, 0.03)
        n += 1
        print("round", n, flush=True)
asyncio.run(main())
`;

const NODE = "let n = 0; setInterval(() => console.log('tick', ++n), 50)";

// each sleeps in another way; the leader asks all of them each round
const EIGHT = `
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static __thread int mine;
static int ends[7][2];
static sem_t answered;
static int answers[7];
static void *worker(void *a) {
	int i = mine = (long)a; char b;
	for (;;) {
		struct pollfd p = {ends[i][0], POLLIN, 0};
		if (i % 2 && poll(&p, 1, -1) < 1) continue;
		if (read(ends[i][0], &b, 1) == 1) { answers[i] = mine + b; sem_post(&answered); }
	}
}
int main(int c, char **v) {
	int log = open(v[1], O_WRONLY | O_CREAT | O_APPEND, 0644), n = 0;
	pthread_t t; sem_init(&answered, 0, 0);
	for (long i = 0; i < 7; i++) { pipe(ends[i]); pthread_create(&t, 0, worker, (void *)i); }
	for (;;) {
		struct timespec ts = {0, 50000000}; nanosleep(&ts, 0);
		int wrong = 0; char b = ++n & 63;
		for (int i = 0; i < 7; i++) write(ends[i][1], &b, 1);
		for (int i = 0; i < 7; i++) while (sem_wait(&answered));
		for (int i = 0; i < 7; i++) wrong += answers[i] != i + b;
		dprintf(log, "round %d wrong %d\\n", n, wrong);
	}
}
`;

// what Go's runtime does (runtime/netpoll_epoll.go), by its names: it throws where it cannot wake its poller
const GO_POLLER = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
__asm__(".pushsection .note.go.buildid,\\"a\\",@note\\n.long 4,4,4\\n.ascii \\"Go\\\\0\\\\0\\"\\n.long 0\\n.popsection");
int epfd __asm__("runtime.epfd") = -1;
#ifdef EVENT
unsigned long reader __asm__("runtime.netpollEventFd");
#define writer reader
#else
unsigned long reader __asm__("runtime.netpollBreakRd"), writer __asm__("runtime.netpollBreakWr");
#endif
int main(int c, char **v) {
	int log = open(v[1], O_WRONLY | O_CREAT | O_APPEND, 0644), ends[2]; long one = 1;
	epfd = epoll_create1(EPOLL_CLOEXEC);
#ifdef EVENT
	reader = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
#else
	pipe2(ends, O_CLOEXEC | O_NONBLOCK); reader = ends[0]; writer = ends[1];
#endif
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = &reader};
	epoll_ctl(epfd, EPOLL_CTL_ADD, reader, &e);
	for (int n = 1;; n++) {
		usleep(20000);
		if (write(writer, &one, 8) != 8) abort();
		e.data.ptr = 0;
		int ready = epoll_wait(epfd, &e, 1, 100);
		if (ready && (e.data.ptr != &reader || read(reader, &one, 8) != 8)) abort();
		dprintf(log, "tick %d\\n", n);
	}
}
`;

describe.skipIf(!able)(`processes go on by their core alone${needs}`, () => {
	it.each(["SEGV", "QUIT"])("node, killed by SIG%s", async (signal) => {
		const node = await dead(signal, () => [process.execPath, "-e", NODE]);
		expectCounting(node.lines, await revived(node, 1));
	});

	it.skipIf(!hasTool("python3"))("python3", async () => {
		const code = "import time, itertools\nfor n in itertools.count():\n print('tick', n, flush=True); time.sleep(.05)";
		const python = await dead("ABRT", () => ["python3", "-c", code]);
		expectCounting(python.lines, await revived(python, 1));
	});

	it.skipIf(!asyncio)(`python3, whose event loop is woken by threads${asyncio ? "" : " (needs asyncio)"}`, async () => {
		const python = await dead("ABRT", () => ["python3", "-c", ASYNCIO]);
		expectCounting(python.lines, await revived(python, 1));
	});

	it.skipIf(!hasTool("perl"))("perl", async () => {
		const code = "$| = 1; for (;;) { print 'tick ', ++$n, qq(\\n); select undef, undef, undef, .05 }";
		const perl = await dead("ABRT", () => ["perl", "-e", code]);
		expectCounting(perl.lines, await revived(perl, 1));
	});

	it("a program that writes to a file of its own", async () => {
		const counter = await dead("ABRT", (room) => {
			const program = join(room.temporary, "counter");
			copyFileSync(fixturePath("bin/counter"), program);
			return ["log", program];
		});
		expectCounting(counter.lines, await revived(counter, 3));
	});

	it.skipIf(!gcc)("eight threads that talk through pipes", async () => {
		const eight = await dead("ABRT", (room) => ["log", compiled(room, "eight", EIGHT)]);
		const after = await revived(eight, 3);
		expectCounting(eight.lines, after);
		expect(after.filter((line) => !line.endsWith(" wrong 0"))).toEqual([]);
	});

	it.skipIf(!gcc).each([
		["pipe", "-static"],
		["eventfd", "-DEVENT"],
	])("a Go program, whose runtime is woken through its %s", async (_, option) => {
		const go = await dead("ABRT", (room) => ["log", compiled(room, "go", GO_POLLER, option)]);
		expectCounting(go.lines, await revived(go, 3));
	});
});

// every thread says what the kernel has of it; the last does so on an alternate stack, in a handler
const CONFESSION = `
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
extern const ptrdiff_t __rseq_offset __attribute__((weak));
static char alternate[65536];
static pthread_barrier_t all;
static void confess(FILE *to) {
	void *clear = 0, *head = 0; size_t size; unsigned long fs; stack_t s;
	prctl(PR_GET_TID_ADDRESS, &clear); syscall(SYS_get_robust_list, 0, &head, &size);
	syscall(SYS_arch_prctl, ARCH_GET_FS, &fs); sigaltstack(0, &s);
	fprintf(to, "%d %lu %lu %lu %lu %lu\\n", gettid(), (long)clear, (long)head, &__rseq_offset ? fs + __rseq_offset : 0,
		s.ss_flags & SS_DISABLE ? 0 : (long)s.ss_sp, s.ss_flags & SS_DISABLE ? 0 : s.ss_size);
	fflush(to);
}
static FILE *log_;
static void *worker(void *a) { flockfile(log_); confess(log_); funlockfile(log_); pthread_barrier_wait(&all); pause(); }
static void handler(int s) { confess(log_); raise(SIGABRT); }
int main(int c, char **v) {
	log_ = fopen(v[1], "w"); pthread_barrier_init(&all, 0, 4);
	pthread_t t; for (int i = 0; i < 3; i++) pthread_create(&t, 0, worker, 0);
	pthread_barrier_wait(&all);
	stack_t s = {.ss_sp = alternate, .ss_size = sizeof alternate}; sigaltstack(&s, 0);
	struct sigaction a = {.sa_handler = handler, .sa_flags = SA_ONSTACK}; sigaction(SIGUSR1, &a, 0);
	raise(SIGUSR1);
}
`;

// a file to read, one to append to with bytes that wait, one that is closed again, and the log
const STREAMS = `
#include <stdio.h>
#include <unistd.h>
int main(int c, char **v) {
	FILE *log = fopen(v[1], "w"), *read = fopen("/proc/version", "r"), *gone = fopen("/dev/null", "r");
	FILE *append = fopen("/dev/null", "a");
	fputs("not yet", append); fclose(gone);
	for (int i = 0; i < 4; i++) fprintf(log, "%d\\n", i);
	fflush(log); pause();
}
`;

describe.skipIf(!able || !gcc)(
	"what threads tell the kernel (needs gcc, root, unshare, nsenter, a plain core_pattern)",
	() => {
		it("lets them be cancelled, by libc's own handler", async () => {
			const life = await dead("ABRT", (room) => ["log", compiled(room, "cancel", CANCEL)]);
			const after = await revived(life, 3);
			expectCounting(life.lines, after);
			for (const line of after) expect(line).toMatch(/^round \d+ cancelled$/);
		});

		it("is deduced as they themselves say it", async () => {
			const { core, log } = await dead("CONT", (room) => ["log", compiled(room, "confession", CONFESSION)]);
			const source = openFile(core);
			try {
				const whole = taskFromCore(readCore(source));
				const { task } = understoodAlone(whole, {
					open: judgedFor(whole, (path) => openFile(path)),
				});
				const deduced = task.threads.map(({ tid, clearTid, robustList, rseq, alternateStack: stack }) =>
					[tid, clearTid, robustList, rseq?.area ?? 0, stack?.base ?? 0, stack?.size ?? 0].join(" "),
				);
				expect(deduced.sort()).toEqual(readFileSync(log, "utf8").trim().split("\n").sort());
			} finally {
				source.close();
			}
		});

		it("and which files stdio had open is told", async () => {
			const { core } = await dead("ABRT", (room) => ["log", compiled(room, "streams", STREAMS)]);
			const source = openFile(core);
			try {
				const whole = taskFromCore(readCore(source));
				const { findings } = understoodAlone(whole, { open: judgedFor(whole, (path) => openFile(path)) });
				const told = findings.filter(({ text }) => text.startsWith("a file of stdio"));
				expect(told.map(({ subject, text }) => `${subject}: ${text.split(";")[0]}`)).toEqual([
					"descriptor 3: a file of stdio was open on it to write",
					"descriptor 4: a file of stdio was open on it to read",
					"descriptor 6: a file of stdio was open on it to append with 7 bytes that were not written yet",
				]);
			} finally {
				source.close();
			}
		});
	},
);
