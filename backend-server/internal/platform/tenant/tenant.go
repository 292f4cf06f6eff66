// Package tenant carries the tenant's ID through a context and checks that it
// is one. A tenant ID ends up in file and object names, so the rule is strict:
// at most MaxLength bytes of letters, digits and !-_.*'(), and neither "." nor
// "..".
package tenant

import (
	"context"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Anonymous is the tenant of all requests when multi-tenancy is off.
const Anonymous = "anonymous"

// Header is the HTTP header that names the tenant.
const Header = "X-Scope-OrgID"

// MaxLength is the longest tenant ID, in bytes.
const MaxLength = 150

type key struct{}

// With returns a context that carries the tenant id, which must be valid.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}

// From returns the tenant of ctx, or an Unauthenticated error.
func From(ctx context.Context) (string, error) {
	id, ok := ctx.Value(key{}).(string)
	if !ok || id == "" {
		return "", fault.New(fault.Unauthenticated, "no tenant: the header %s is missing", Header)
	}
	return id, nil
}

// Validate reports what is wrong with a tenant ID.
func Validate(id string) error {
	if len(id) > MaxLength {
		return fault.New(fault.Invalid, "tenant ID has %d bytes; limit %d", len(id), MaxLength)
	}
	if id == "" || id == "." || id == ".." {
		return fault.New(fault.Invalid, "tenant ID %q is not allowed", id)
	}
	for i := range len(id) {
		if !allowed(id[i]) {
			return fault.New(fault.Invalid, "tenant ID %q has the character %q at byte %d; allowed are letters, digits and !-_.*'()", id, id[i], i)
		}
	}
	return nil
}

func allowed(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	switch c {
	case '!', '-', '_', '.', '*', '\'', '(', ')':
		return true
	}
	return false
}
