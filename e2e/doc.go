// Package e2e runs the library against real servers: Pebble and a mail server, in
// this process, and BIND, if it is installed. It has tests only.
package e2e
