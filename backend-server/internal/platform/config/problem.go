package config

import "fmt"

// Problem is the error for a setting whose value is not allowed. It names the
// flag, the value and what would be allowed.
func Problem(flag string, value any, allowed string) error {
	return fmt.Errorf("-%s: %q is not allowed; want %s", flag, fmt.Sprint(value), allowed)
}
