/* A user's process: victim DIR. It has DIR/log open and DIR/data mapped, stands in DIR/d, and waits. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2 || chdir(argv[1]))
		return 1;
	int log = open("log", O_RDWR), data = open("data", O_RDONLY);
	const volatile char *shown = mmap(0, 4096, PROT_READ, MAP_PRIVATE, data, 0);

	if (log != 3 || shown == MAP_FAILED || close(data) || chdir("d"))
		return 1;
	for (;;)
		pause();
}
