//go:build !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "hsm: PKCS#11 is an interface of C: install a C compiler (apt-get install gcc libc6-dev) and set CGO_ENABLED=1")
	os.Exit(1)
}
