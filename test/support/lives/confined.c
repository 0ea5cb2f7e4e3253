// A process with something around it, or in it, that keeps it from others; or that looks for a key. Says a word every 50 ms.
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SESSION = -3, JOIN = 1, SEARCH = 10 };

int main(int argc, char **argv) {
	const char *how = argv[1];
	static volatile char selector;
	if (!strcmp(how, "holds")) {
		syscall(SYS_keyctl, JOIN, 0);
		if (syscall(SYS_add_key, "user", "caller", "x", 1L, SESSION) < 0) return 1;
		execvp(argv[2], argv + 2);
		return 1;
	}
	if (!strcmp(how, "seeks")) syscall(SYS_keyctl, JOIN, 0);
	if (!strcmp(how, "ldt")) {
		struct user_desc entry = {.entry_number = 0, .limit = 1, .seg_32bit = 1, .useable = 1};
		if (syscall(SYS_modify_ldt, 1, &entry, sizeof entry) < 0) return 1;
	}
	if (!strcmp(how, "dispatch")) // everything below an address that no code has goes to the kernel all the same
		if (prctl(59, 1, 0L, 1L << 47, &selector)) return 1;
	if (!strcmp(how, "landlock")) {
		struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_DIR};
		int set = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (set < 0 || syscall(SYS_landlock_restrict_self, set, 0)) return 1;
		close(set);
	}
	for (int round = 0;; round++) {
		char line[64];
		long key = syscall(SYS_keyctl, SEARCH, SESSION, "user", "caller", 0);
		write(1, line, sprintf(line, "%d %s\n", round, key < 0 ? "none" : "found"));
		usleep(50000);
	}
}
