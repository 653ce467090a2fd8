// Package stepca runs the library against step-ca, in this process, with every
// operation that step-ca has, and with each of its challenges but those of the
// messenger Wire. What step-ca does not have is an error, of which there are tests,
// too. The module has tests only, and is outside of the workspace, since step-ca
// brings six hundred packages:
//
//	cd e2e/stepca && GOWORK=off CGO_ENABLED=0 go test ./...
//
// step-ca is wired as its command does it, with its databases in files, but for
// the interface through which it looks at names and ports when it validates:
// that leads to servers of the tests.
package stepca
