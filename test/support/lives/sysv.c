// Has all of System V's kinds at once: segments (whole, in parts, twice, removed, that nobody shows), semaphores, messages, settings.
// Says what it sees at its start and on SIGUSR1: the same before a dump and after a restore.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
enum { WHOLE, PARTS, SHORT, REMOVED, ALONE, COUNT };
static const char *const names[COUNT] = {"whole", "parts", "short", "removed", "alone"};
static int segments[COUNT], sets[2], queue;
static char *whole, *again, *parts, *brief, *removed;

static void require(int fine, const char *what) {
	if (fine) return;
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int segment(key_t key, size_t size, int mode) {
	int id = shmget(key, size, mode | IPC_CREAT | IPC_EXCL);
	require(id >= 0, "shmget");
	return id;
}

static char *attached(int id, const char *text, size_t at) {
	char *place = shmat(id, NULL, 0);
	require(place != (char *)-1, "shmat");
	if (text) strcpy(place + at, text);
	return place;
}

static void setting(const char *name, const char *value) {
	char path[64];
	snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
	int fd = open(path, O_WRONLY);
	require(fd >= 0 && write(fd, value, strlen(value)) > 0, name);
	close(fd);
}

static void send(long type, const char *text) {
	struct { long type; char text[64]; } message = {type, ""};
	strcpy(message.text, text);
	require(msgsnd(queue, &message, strlen(text), 0) == 0, "msgsnd");
}

static void make(void) {
	// ids that the kernel would not choose a second time
	for (int i = 0; i < 3; i++) require(shmctl(segment(IPC_PRIVATE, PAGE, 0600), IPC_RMID, NULL) == 0, "IPC_RMID");
	segments[WHOLE] = segment(0x4e454352, 4 * PAGE, 0640);
	segments[PARTS] = segment(IPC_PRIVATE, 4 * PAGE, 0600);
	segments[SHORT] = segment(0x51, 56, 0600);
	segments[REMOVED] = segment(0x52, PAGE, 0600);
	segments[ALONE] = segment(0x53, 3 * PAGE, 0604);
	whole = attached(segments[WHOLE], "seen twice", 2 * PAGE);
	again = attached(segments[WHOLE], NULL, 0);
	parts = attached(segments[PARTS], "first", 0);
	strcpy(parts + 3 * PAGE, "last");
	require(munmap(parts + PAGE, PAGE) == 0, "munmap");
	require(mprotect(parts + 3 * PAGE, PAGE, PROT_READ) == 0, "mprotect");
	// what lies where a part of a segment was
	require(mmap(parts + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == parts + PAGE, "mmap");
	strcpy(parts + PAGE, "between");
	brief = attached(segments[SHORT], "of 56 bytes", 0);
	removed = attached(segments[REMOVED], "as long as it is shown", 0);
	require(shmctl(segments[REMOVED], IPC_RMID, NULL) == 0, "IPC_RMID");
	require(shmdt(attached(segments[ALONE], "nobody shows it", PAGE + 5)) == 0, "shmdt");
	struct shmid_ds looks;
	require(shmctl(segments[ALONE], IPC_STAT, &looks) == 0, "IPC_STAT");
	looks.shm_perm.uid = 1234;
	looks.shm_perm.gid = 567;
	require(shmctl(segments[ALONE], IPC_SET, &looks) == 0, "IPC_SET");

	// another user's
	require(setresgid(-1, 321, -1) == 0 && setresuid(-1, 4321, -1) == 0, "setresuid");
	sets[0] = semget(0x60, 3, 0666 | IPC_CREAT | IPC_EXCL);
	require(setresuid(-1, 0, -1) == 0 && setresgid(-1, 0, -1) == 0, "setresuid");
	sets[1] = semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT);
	require(sets[0] >= 0 && sets[1] >= 0, "semget");
	unsigned short values[] = {7, 0, 32767};
	require(semctl(sets[0], 0, SETALL, values) == 0, "SETALL");
	struct sembuf up = {0, 1, SEM_UNDO};
	require(semop(sets[1], &up, 1) == 0, "semop");

	// of POSIX, and open nowhere
	int posix = syscall(SYS_mq_open, "left", O_RDWR | O_CREAT, 0600, NULL);
	require(posix >= 0 && close(posix) == 0, "mq_open");

	queue = msgget(0x70, 0620 | IPC_CREAT | IPC_EXCL);
	require(queue >= 0, "msgget");
	send(3, "first of type three");
	send(1, "of type one");
	send(3, "");
	send(0x123456789abcdef, "eight bytes of type");
	struct msqid_ds room;
	require(msgctl(queue, IPC_STAT, &room) == 0, "IPC_STAT");
	room.msg_qbytes = 4096;
	require(msgctl(queue, IPC_SET, &room) == 0, "IPC_SET");

	setting("msgmax", "4000");
	setting("shmmni", "77");
	setting("sem", "100 2000 30 40");
}

static void say(void) {
	for (int i = 0; i < COUNT; i++) {
		struct shmid_ds it;
		require(shmctl(segments[i], IPC_STAT, &it) == 0, "IPC_STAT");
		printf("%s: id %d key %x mode %o owner %u.%u maker %u.%u size %zu attached %lu\n", names[i], segments[i],
		       it.shm_perm.__key, it.shm_perm.mode, it.shm_perm.uid, it.shm_perm.gid, it.shm_perm.cuid, it.shm_perm.cgid,
		       it.shm_segsz, it.shm_nattch);
	}
	char *alone = attached(segments[ALONE], NULL, 0);
	printf("bytes: %s, %s, %s, %s, %s, %s, %s, %s\n", whole + 2 * PAGE, again + 2 * PAGE, parts, parts + PAGE, parts + 3 * PAGE,
	       brief, removed, alone + PAGE + 5);
	require(shmdt(alone) == 0, "shmdt");
	strcpy(again + PAGE, "written after");
	printf("one memory: %s\n", whole + PAGE);
	for (int i = 0; i < 2; i++) {
		struct semid_ds it;
		unsigned short values[3] = {0};
		require(semctl(sets[i], 0, IPC_STAT, &it) == 0 && semctl(sets[i], 0, GETALL, values) == 0, "semctl");
		printf("semaphores: id %d key %x mode %o owner %u.%u maker %u.%u values %d %d %d of %lu\n", sets[i], it.sem_perm.__key,
		       it.sem_perm.mode, it.sem_perm.uid, it.sem_perm.gid, it.sem_perm.cuid, it.sem_perm.cgid, values[0], values[1],
		       values[2], it.sem_nsems);
	}
	struct msqid_ds it;
	require(msgctl(queue, IPC_STAT, &it) == 0, "IPC_STAT");
	printf("queue: id %d key %x mode %o messages %lu of %lu bytes, room for %lu\n", queue, it.msg_perm.__key, it.msg_perm.mode,
	       it.msg_qnum, it.__msg_cbytes, it.msg_qbytes);
	for (int i = 0; i < (int)it.msg_qnum; i++) {
		struct { long type; char text[64]; } message;
		ssize_t length = msgrcv(queue, &message, sizeof message.text, i, MSG_COPY | IPC_NOWAIT);
		require(length >= 0, "msgrcv");
		printf("message: %lx %.*s\n", message.type, (int)length, message.text);
	}
	const char *files[] = {"msgmax", "shmmni", "sem", "shm_next_id"};
	for (int i = 0; i < 4; i++) {
		char path[64], text[64] = "";
		snprintf(path, sizeof path, "/proc/sys/kernel/%s", files[i]);
		int fd = open(path, O_RDONLY);
		require(fd >= 0 && read(fd, text, sizeof text - 1) > 0, path);
		close(fd);
		printf("%s: %s", files[i], text);
	}
	printf("end\n");
	fflush(stdout);
}

int main(void) {
	require(unshare(CLONE_NEWIPC) == 0, "unshare");
	make();

	sigset_t told;
	int number;
	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	sigprocmask(SIG_BLOCK, &told, NULL);
	do say();
	while (sigwait(&told, &number) == 0);
	return 0;
}
