/* The first thread ends, another goes on alone and counts: `N`. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *counts(void *first) {
	pthread_join(*(pthread_t *)first, 0);
	for (int n = 0;; n++) { printf("%d\n", n); fflush(stdout); usleep(20000); }
}
int main(void) {
	static pthread_t me, other;
	me = pthread_self(); pthread_create(&other, 0, counts, &me);
	pthread_exit(0);
}
