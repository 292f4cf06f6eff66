package server

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// command runs a command line.
func command(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

// bucketOf makes a data folder with an empty bucket.
func bucketOf(t *testing.T) (data string) {
	t.Helper()
	data = t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(data, bucketDir), 0o755))
	return data
}

// TestTools takes profiles into a bucket, out of it, and into another one.
func TestTools(t *testing.T) {
	data := bucketOf(t)
	files := t.TempDir()
	raw, err := os.ReadFile("../internal/profile/pprof/testdata/go-cpu.pb.gz")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(files, "shop"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(files, "shop", "cpu.pb.gz"), raw, 0o644))
	code, out, errOut := command(t, "import", files, "-db.data-path", data, "-path-labels", "service_name", "-label", "pod=1")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "1 of 1 files were imported, in 1 blocks")
	require.FileExists(t, filepath.Join(data, bucketDir, "hearth-bucket.json"), "the server knows the bucket again")

	code, out, _ = command(t, "block", "list", "-json", "-db.data-path="+data)
	require.Zero(t, code)
	var listed struct {
		Tenant   string
		ID       string
		Services []string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &listed))
	require.Equal(t, "anonymous", listed.Tenant)
	require.Equal(t, []string{"shop"}, listed.Services)
	code, out, _ = command(t, "block", "list", "-db.data-path="+data)
	require.Zero(t, code)
	require.Contains(t, out, listed.ID)
	code, out, _ = command(t, "block", "inspect", listed.ID, "-dir", filepath.Join(data, bucketDir, "anonymous", "blocks"))
	require.Zero(t, code)
	require.Contains(t, out, "process_cpu:cpu:nanoseconds:cpu:nanoseconds")
	code, out, _ = command(t, "block", "verify", "-tenant", "anonymous", "-db.data-path", data)
	require.Zero(t, code, out)
	require.Contains(t, out, "something is wrong with 0")

	exported := filepath.Join(t.TempDir(), "profiles")
	code, out, errOut = command(t, "block", "export", "-db.data-path", data, "-query", `{pod="1"}`, "-output", exported)
	require.Zero(t, code, errOut)
	require.Contains(t, out, "1 profiles were written")
	one, merged, _ := command(t, "block", "export", "-db.data-path", data, "-type", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", "-from", "1990-01-01")
	require.Zero(t, one)
	require.True(t, strings.HasPrefix(merged, "\x1f\x8b"))

	again := bucketOf(t)
	code, out, errOut = command(t, "import", "-db.data-path", again, "-service-name", "shop", exported)
	require.Zero(t, code, errOut)
	require.Contains(t, out, "1 of 1 files were imported")
	_, twice, _ := command(t, "block", "export", "-db.data-path", again, "-type", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", "-from", "1990-01-01")
	require.Len(t, twice, len(merged), "the same profile")
}

func TestVerifyTellsWhatIsWrong(t *testing.T) {
	data := bucketOf(t)
	code, _, errOut := command(t, "import", "-db.data-path", data, "../internal/profile/pprof/testdata/go-cpu.pb.gz")
	require.Zero(t, code, errOut)
	blocks, err := filepath.Glob(filepath.Join(data, bucketDir, "anonymous", "blocks", "*", "data.hearth"))
	require.NoError(t, err)
	require.Len(t, blocks, 1)
	raw, err := os.ReadFile(blocks[0])
	require.NoError(t, err)
	raw[100] ^= 1
	require.NoError(t, os.WriteFile(blocks[0], raw, 0o644))
	code, out, _ := command(t, "block", "verify", "-db.data-path", data)
	require.Equal(t, 1, code)
	require.Contains(t, out, "section columns at byte 0 has the checksum")
	require.Contains(t, out, "something is wrong with 1")
}

func TestImportBlocks(t *testing.T) {
	data := bucketOf(t)
	for _, from := range [][]string{{"../internal/importer/testdata/pyroscope"}, {"-from.filesystem.dir", "../internal/importer/testdata/pyroscope"}} {
		code, out, errOut := command(t, append([]string{"import-blocks", "-db.data-path", data}, from...)...)
		require.Zero(t, code, errOut)
		require.Contains(t, out, "Of 4 blocks")
		require.Contains(t, out, "2 marked for deletion")
	}
	code, out, _ := command(t, "block", "verify", "-db.data-path", data)
	require.Zero(t, code, out)
	require.Contains(t, out, "3 blocks with 32 rows")
}

func TestToolsCalledWrongly(t *testing.T) {
	data := bucketOf(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"blok", "list"}, `"blok" is no command; there are block list, block inspect`},
		{[]string{"block"}, `"block" is no command`},
		{[]string{"block", "list", "-nonsense"}, "-nonsense is not a known flag"},
		{[]string{"block", "inspect", "-db.data-path", data}, "needs the ID of a block"},
		{[]string{"block", "verify", "-db.data-path", data, "01ARZ"}, `"01ARZ" is no ID of a block`},
		{[]string{"block", "export", "-db.data-path", data}, "needs -output"},
		{[]string{"block", "export", "-db.data-path", data, "-type", "cpu"}, "has 1 parts"},
		{[]string{"block", "export", "-from", "yesterday"}, "-from"},
		{[]string{"import", "-db.data-path", data}, "needs folders or files"},
		{[]string{"import", "-label", "x", data}, "-label"},
		{[]string{"import-blocks", "-db.data-path", data}, "needs a folder"},
	} {
		code, _, errOut := command(t, c.args...)
		require.Equal(t, 2, code, c.args)
		require.Contains(t, errOut, c.want, c.args)
	}
	code, _, errOut := command(t, "block", "list", "-db.data-path", filepath.Join(data, "nowhere"))
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "is no folder; -storage.filesystem.dir or -db.data-path must say")
}

func TestHelpOfTools(t *testing.T) {
	for _, one := range tools() {
		code, out, _ := command(t, append(strings.Fields(one.name), "-help")...)
		require.Zero(t, code)
		require.Contains(t, out, "Usage: backend-server "+one.name)
		require.Contains(t, out, "-storage.backend")
		require.NotContains(t, out, "-querier.", "the server's flags are known and not listed")
	}
	_, out, _ := command(t, "-help")
	require.Contains(t, out, "import-blocks")
}
