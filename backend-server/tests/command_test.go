package tests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// run runs a command line to its end.
func run(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = t.TempDir()
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

func TestCommandLine(t *testing.T) {
	code, out, _ := run(t, "-modules")
	require.Zero(t, code)
	require.Equal(t, "all\nbackend\nread\nwrite\ndistributor\ningester\nquerier\nquery-frontend\nquery-scheduler\nstore-gateway\ncompactor\n", out)
	code, out, _ = run(t, "-version")
	require.Zero(t, code)
	require.Contains(t, out, "hearth")
	code, out, _ = run(t, "-help")
	require.Zero(t, code)
	require.Contains(t, out, "-db.data-path")
	code, out, _ = run(t, "-config.check", "-target=querier")
	require.Zero(t, code)
	require.Contains(t, out, "good")

	file := filepath.Join(t.TempDir(), "hearth.yaml")
	require.NoError(t, os.WriteFile(file, []byte("server: {http-listen-port: many}\nwal.sync: sometimes\n"), 0o600))
	code, _, errOut := run(t, "-config.check", "-config.file="+file, "-log.format=xml")
	require.Equal(t, 2, code)
	require.Contains(t, errOut, `-server.http-listen-port: "many" is not allowed; want a whole number`)
	require.Contains(t, errOut, "-wal.sync")
	require.Contains(t, errOut, `-log.format: "xml" is not allowed; want logfmt or json`)
}

func TestFolderAndPortInUse(t *testing.T) {
	data := t.TempDir()
	s := startReady(t, data)
	code, _, errOut := run(t, "-db.data-path="+data, "-server.http-listen-port=0")
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "the data folder is in use: another Hearth process works on "+data)

	address := strings.TrimPrefix(s.url, "http://")
	host, port, _ := strings.Cut(address, ":")
	code, _, errOut = run(t, "-server.http-listen-address="+host, "-server.http-listen-port="+port)
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "the address "+address+" is taken by another process")
}
