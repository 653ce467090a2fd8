// Package lego runs the adapters for DNS providers of lego against its real
// interfaces and two of its providers, with Pebble and BIND. It has tests only.
//
// It is a module of its own, and not in the workspace, for what lego depends on.
// The interface of lego v3 is that of v4: neither has a context.
package lego
