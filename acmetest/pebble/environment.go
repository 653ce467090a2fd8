package pebble

import (
	"errors"
	"os"
	"strconv"
	"sync"
)

// environment serialises Starts. Pebble takes some of its settings from the
// environment and from nowhere else, once, while its parts are constructed;
// the environment is the process's, so the lock has to be, too. It is the
// only global variable of this package.
var environment sync.Mutex //nolint:gochecknoglobals // see above

// withEnvironment calls construct with the settings of o in the environment,
// and puts the former values back. Only the construction happens inside.
func withEnvironment(o Options, construct func()) error {
	environment.Lock()
	defer environment.Unlock()
	var errs []error
	for name, value := range o.environment() {
		former, set := os.LookupEnv(name) //nolint:forbidigo // only to put it back
		errs = append(errs, os.Setenv(name, value))
		defer func() {
			if set {
				_ = os.Setenv(name, former)
			} else {
				_ = os.Unsetenv(name)
			}
		}()
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	construct()
	return nil
}

// environment returns every variable that Pebble's packages look at.
func (o Options) environment() map[string]string {
	// Pebble reuses an authorization when a number from 0 to 99 is not above
	// the percentage: that is one in a hundred too often. See hideValid for 0.
	reuse := max(0, o.AuthorizationReuse-1)
	flag := map[bool]string{true: "1", false: "0"}
	return map[string]string{
		"PEBBLE_VA_NOSLEEP":          flag[!o.ValidationSleep],
		"PEBBLE_VA_SLEEPTIME":        "5",
		"PEBBLE_VA_ALWAYS_VALID":     flag[o.AlwaysValid],
		"PEBBLE_WFE_NONCEREJECT":     strconv.Itoa(o.NonceReject),
		"PEBBLE_AUTHZREUSE":          strconv.Itoa(reuse),
		"PEBBLE_WFE_ORDERS_PER_PAGE": strconv.Itoa(o.OrdersPerPage),
	}
}
