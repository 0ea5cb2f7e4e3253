// tells HOW: a program that tells of its own crash in a handler and then dies of the signal all the same.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

volatile long total = 4711;

extern "C" void tell() {
	const char words[] = "*** crashed\n";
	(void)!write(2, words, sizeof words - 1);
}

// glog's FailureSignalHandler: default again, then kill(2); the signal is blocked until the handler returns
static void like_glog(int number, siginfo_t *, void *) {
	tell();
	struct sigaction action {};
	sigemptyset(&action.sa_mask);
	action.sa_handler = SIG_DFL;
	sigaction(number, &action, nullptr);
	kill(getpid(), number);
}

// Abseil's: on a stack of its own, and dies within
static void like_absl(int number, siginfo_t *, void *) {
	tell();
	signal(number, SIG_DFL);
	raise(number);
}

struct Account {
	long balance;
	virtual ~Account() = default;
	virtual void pay(long by) { balance -= by; }
};

int main(int, char **args) {
	struct sigaction action {};
	sigemptyset(&action.sa_mask);
	if (!strcmp(args[1], "glog")) {
		action.sa_sigaction = like_glog;
		action.sa_flags = SA_SIGINFO;
	} else {
		stack_t stack {};
		stack.ss_size = 65536;
		stack.ss_sp = malloc(stack.ss_size);
		sigaltstack(&stack, nullptr);
		action.sa_sigaction = like_absl;
		action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	}
	sigaction(SIGSEGV, &action, nullptr);
	Account *volatile nobody = nullptr;
	nobody->pay(total);
}
