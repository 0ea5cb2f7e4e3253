// Adds what its code says, again and again; -DSTEP=N is that, in the program itself or (-DLIBRARY) in a library beside it.
#include <signal.h>
#include <unistd.h>

#ifdef MORE
// another build that is larger
long more(long n) {
	return n > 1 ? n * more(n - 1) : MORE;
}
#endif

#ifdef USER
long step(void);
#else
long step(void) {
	return STEP;
}
#endif

#ifndef LIBRARY
volatile long total;

int main(void) {
	raise(SIGQUIT);
	for (;;) {
		total += step();
		usleep(10000);
	}
}
#endif
