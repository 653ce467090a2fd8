// Package e2e runs the library against real servers: Pebble, in this process.
// It has tests only.
package e2e
