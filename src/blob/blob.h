/* What the blob and the TypeScript that drives it agree on. src/program/abi.ts declares the same; a test compares the two. */
#ifndef NECROMANCER_BLOB_H
#define NECROMANCER_BLOB_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* One system call, or one of the DO_… below. 72 bytes. */
struct step {
	u16 call;     /* system call number, or DO_… */
	u8 indirect;  /* bit i: arg[i] is the address of the value */
	u8 expect;    /* EXPECT_… */
	u32 id;       /* its number in reports */
	u64 arg[6];
	u64 want;     /* for expect */
	u64 store;    /* address that receives the result as 64 bits, or 0 */
};

/* One for each process or thread that runs steps: where it reports a failed one. */
struct context {
	u64 report_fd; /* a stream socket; a step may store a new number here */
	u64 task;      /* its number in reports */
};

struct report {
	u64 task;
	u64 id;     /* of the step that was not satisfied; 0 for none */
	u64 result; /* what the call returned, -errno */
};

/*
 * A request to the agent: bytes to load, steps to run, bytes to send back; and the undo list that is in force from the moment
 * when the request has arrived, or 0: it is run when the driver closes the socket.
 */
struct request {
	u64 load_at, load_bytes;
	u64 steps;
	u64 undo;
	u64 reply_at, reply_bytes;
};

enum {
	EXPECT_ANYTHING = 0,
	EXPECT_SUCCESS = 1,      /* no error */
	EXPECT_EXACTLY = 2,      /* result == want */
	EXPECT_SUCCESS_OR = 3,   /* no error, or the error want (as -errno) */
	EXPECT_REPEAT = 4,       /* repeated until it fails; the failure is no error */
};

enum {
	DO_END = 0xff00,   /* the end of a list of steps */
	DO_SPAWN = 0xff01, /* clone3(arg[0], arg[1]); the child goes on with context arg[2] at step arg[3] */
	DO_AWAIT = 0xff02, /* sleep on the futex at arg[0] until its word is arg[1] */
	DO_LEAVE = 0xff03, /* rt_sigreturn with the stack pointer arg[0] */
	DO_CPUID = 0xff04, /* cpuid leaf arg[0], subleaf arg[1]; eax, ebx, ecx, edx go to arg[2] */
	DO_BRANCH = 0xff05, /* go on at step arg[3] when arg[0] & arg[1] is arg[2]; nothing is stored, nothing can fail */
	DO_CLONE = 0xff06, /* as DO_SPAWN, by clone(2): flags, exit_signal, stack, tls, parent_tid and child_tid of the struct */
};

enum {
	AGENT_FD = 3, /* the socket between agent and driver */
	FAILED = 111, /* exit status of a process whose step failed */
};

#endif
