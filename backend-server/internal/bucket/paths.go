package bucket

import (
	"path"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// All objects are named <prefix>/<tenant>/blocks/<ULID>/<file>. The prefix is
// put in front by the bucket that Open returns.
const (
	blocksDir = "blocks"
	metaFile  = "meta.json"
)

func tenantBlocks(tenant string) string { return path.Join(tenant, blocksDir) + objstore.DirDelim }

func object(tenant string, id ulid.ULID, file string) string {
	return path.Join(tenant, blocksDir, id.String(), file)
}

// lastPart returns the last part of a listed name, without the slash that
// marks a directory.
func lastPart(name string) string { return path.Base(strings.TrimSuffix(name, objstore.DirDelim)) }
