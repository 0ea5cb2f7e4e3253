/* holding TEXT: has it in a memfd without a mapping, 3, and waiting in a pipe, 4 and 5. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int memory = memfd_create("keys", 0), ends[2];

	if (argc < 2 || memory != 3 || pipe(ends) || write(memory, argv[1], strlen(argv[1])) < 0 ||
	    write(ends[1], argv[1], strlen(argv[1])) < 0 || chdir("/tmp"))
		return 1;
	for (;;)
		pause();
}
