package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const clockBoottime = 7

func boottime() time.Duration {
	var t syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}

func main() {
	last, lastBoottime := time.Now(), boottime()
	for {
		time.Sleep(100 * time.Millisecond)
		now, nowBoottime := time.Now(), boottime()
		fmt.Fprintf(os.Stdout, "go %d %d\n", now.Sub(last).Milliseconds(), (nowBoottime - lastBoottime).Milliseconds())
		last, lastBoottime = now, nowBoottime
	}
}
