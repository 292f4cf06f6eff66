package app

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// The module's own import paths, from the root.
const (
	root     = "github.com/hearth-profiles/hearth"
	backend  = root + "/backend-server"
	internal = backend + "/internal"
)

// layers is the table of ARCHITECTURE.md: a package imports its own layer and
// those below, which have smaller numbers.
var layers = map[string]int{
	internal + "/platform":      0,
	internal + "/profile":       1,
	internal + "/db":            2,
	internal + "/bucket":        2,
	internal + "/cluster":       2,
	internal + "/question":      2,
	internal + "/deletion":      2,
	internal + "/replica":       2,
	internal + "/distributor":   3,
	internal + "/ingester":      3,
	internal + "/queryfrontend": 3,
	internal + "/querier":       3,
	internal + "/scheduler":     3,
	internal + "/catalog":       2,
	internal + "/compactor":     3,
	internal + "/storegateway":  3,
	internal + "/blocktool":     3,
	internal + "/transport":     4,
	internal + "/app":           5,
	internal + "/importer":      5,
	backend + "/server":         5,
	backend:                     6,
}

const (
	roleLayer = 3
	edgeLayer = 4
)

// generated are the import paths of types made from protobuf definitions.
var generated = []string{"github.com/grafana/pyroscope/api", backend + "/api"}

// mayUseGenerated lists who may import them.
var mayUseGenerated = []string{internal + "/transport", root + "/pkg/upstream", backend + "/api", backend + "/tests/load"}

// within reports whether p is dir or below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// part returns the entry of layers that p belongs to.
func part(p string) (name string, layer int, ok bool) {
	for dir := p; within(dir, backend); dir = path.Dir(dir) {
		if n, found := layers[dir]; found && (dir == p || dir != backend) {
			return dir, n, true
		}
	}
	return "", 0, false
}

// wrong says what is wrong with from importing to, or "".
func wrong(from, to string) string {
	for _, g := range generated {
		if within(to, g) && !slices.ContainsFunc(mayUseGenerated, func(dir string) bool { return within(from, dir) }) {
			return "uses generated types; only internal/transport and pkg/upstream may, others use internal/profile"
		}
	}
	if within(from, root+"/pkg") && within(to, backend) && to != backend+"/server" {
		return "pkg sees of the server its wire API and backend-server/server only"
	}
	if within(from, backend) && within(to, root+"/pkg") {
		return "the server must not know the plugin"
	}
	fromPart, fromLayer, ok := part(from)
	toPart, toLayer, okTo := part(to)
	switch {
	case !ok || !okTo:
		return ""
	case toLayer > fromLayer:
		return fmt.Sprintf("is an upward import (layer %d to %d)", fromLayer, toLayer)
	case fromLayer == roleLayer && toLayer == roleLayer && fromPart != toPart:
		return "is a role importing a role; declare the interface you need and let app connect them"
	case fromLayer == edgeLayer && toLayer == roleLayer:
		return "is a transport importing a role; declare the interface you need and let app connect them"
	}
	return ""
}

func load(t *testing.T, mode packages.LoadMode) []*packages.Package {
	t.Helper()
	list, err := packages.Load(&packages.Config{Mode: mode | packages.NeedName | packages.NeedFiles, Dir: "../../.."}, "./backend-server/...", "./pkg/...")
	require.NoError(t, err)
	require.Greater(t, len(list), 10)
	return list
}

func TestLayers(t *testing.T) {
	for _, p := range load(t, packages.NeedImports) {
		if _, _, ok := part(p.PkgPath); !ok && within(p.PkgPath, internal) {
			t.Errorf("%s has no layer: put it into the table of this test and of ARCHITECTURE.md", p.PkgPath)
		}
		for to := range p.Imports {
			if w := wrong(p.PkgPath, to); w != "" {
				t.Errorf("%s imports %s: %s", strings.TrimPrefix(p.PkgPath, root+"/"), to, w)
			}
		}
	}
}

func TestWrongImportsAreFound(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{internal + "/db/head", internal + "/db/wal", false},
		{internal + "/db/head", internal + "/ingester", true},
		{internal + "/profile/tree", internal + "/db/query", true},
		{internal + "/ingester", internal + "/ingester/sub", false},
		{internal + "/ingester", internal + "/querier", true},
		{internal + "/transport/push", internal + "/distributor", true},
		{internal + "/distributor", internal + "/transport/push", true},
		{internal + "/app", internal + "/transport/push", false},
		{backend, backend + "/server", false},
		{internal + "/db", "github.com/grafana/pyroscope/api/gen/proto/go/push/v1", true},
		{internal + "/transport/push", "github.com/grafana/pyroscope/api/gen/proto/go/push/v1", false},
		{root + "/pkg/plugin", "github.com/grafana/pyroscope/api/gen/proto/go/push/v1", true},
		{root + "/pkg/upstream", "github.com/grafana/pyroscope/api/gen/proto/go/push/v1", false},
		{root + "/pkg/embedded", backend + "/server", false},
		{root + "/pkg/embedded", internal + "/app", true},
		{internal + "/app", root + "/pkg/plugin", true},
	} {
		require.Equal(t, c.bad, wrong(c.from, c.to) != "", "%s → %s", c.from, c.to)
	}
}

// TestHouseRules checks what a reader relies on in every package.
func TestHouseRules(t *testing.T) {
	for _, p := range load(t, 0) {
		if within(p.PkgPath, backend+"/api") {
			continue // generated
		}
		if slices.Contains([]string{"util", "utils", "common", "helpers"}, p.Name) {
			t.Errorf("%s: a package is named after what it is about", p.PkgPath)
		}
		documented := len(p.GoFiles) == 0
		for _, name := range p.GoFiles {
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
			require.NoError(t, err)
			documented = documented || f.Doc != nil
			if lines := set.File(f.Pos()).LineCount(); lines > 600 {
				t.Errorf("%s has %d lines; split it at 400, at the latest at 600", name, lines)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: no init functions; do it in a constructor", name)
				}
			}
		}
		if !documented {
			t.Errorf("%s has no package comment", p.PkgPath)
		}
	}
}
