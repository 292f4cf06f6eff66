package catalog

import (
	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
)

// Overview is what readers have to know before they ask for blocks.
type Overview struct {
	// Blocks are those that count and may have something that is wanted.
	Blocks []ulid.ULID
	// Deleted is what is deleted of the tenant, wherever it is found.
	Deleted deletion.Rules
	// Unsplit says that the gateway, which is of an earlier version, does not
	// tell: it is to be asked for everything.
	Unsplit bool
}
