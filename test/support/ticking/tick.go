package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	last := time.Now()
	for {
		time.Sleep(100 * time.Millisecond)
		now := time.Now()
		fmt.Fprintf(os.Stdout, "go %d\n", now.Sub(last).Milliseconds())
		last = now
	}
}
