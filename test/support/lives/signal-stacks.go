// go run signal-stacks.go LOG EARLIER [calm]: threads that each say what the kernel has as their signal stack, and unless they
// are to be calm recover from a nil dereference, a line each round. EARLIER allocations move the stacks elsewhere.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const threads = 6

type signalStack struct {
	base  uintptr
	flags int32
	size  uintptr
}

type thing struct{ value int }

func recovered(it *thing) (how string) {
	defer func() {
		if recover() != nil {
			how = "recovered"
		}
	}()
	return strconv.Itoa(it.value)
}

func live(i int, calm bool, said chan<- string) {
	runtime.LockOSThread()
	how := "calm"
	for {
		var stack signalStack
		syscall.RawSyscall(syscall.SYS_SIGALTSTACK, 0, uintptr(unsafe.Pointer(&stack)), 0)
		if !calm {
			how = recovered(nil)
		}
		said <- fmt.Sprintf("thread %d %#x %d %d %s", i, stack.base, stack.size, stack.flags, how)
		pause := syscall.NsecToTimespec(int64(20 * time.Millisecond))
		syscall.Nanosleep(&pause, nil)
	}
}

func main() {
	log, _ := os.OpenFile(os.Args[1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	earlier, _ := strconv.Atoi(os.Args[2])
	// for a core: the runtime would end by itself
	var byDefault [4]uintptr
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGQUIT), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	said := make(chan string)
	var kept [][]byte
	for i := 0; i < threads; i++ {
		for n := 0; n < earlier; n++ {
			kept = append(kept, make([]byte, 32<<10))
		}
		go live(i, len(os.Args) > 3, said)
		fmt.Fprintln(log, <-said)
	}
	for line := range said {
		fmt.Fprintln(log, line)
		runtime.KeepAlive(kept)
	}
}
