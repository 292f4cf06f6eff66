package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type settings struct {
	file  File
	port  int
	age   time.Duration
	on    bool
	size  Bytes
	roles List
	key   string
}

func newSet() (*flag.FlagSet, *settings) {
	s := &settings{size: 64 << 20, roles: List{Values: []string{"all"}}}
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	s.file.RegisterFlags(fs)
	fs.IntVar(&s.port, "server.port", 4040, "")
	fs.DurationVar(&s.age, "db.max-age", time.Hour, "")
	fs.BoolVar(&s.on, "auth.on", false, "")
	fs.Var(&s.size, "db.size", "")
	fs.Var(&s.roles, "target", "")
	fs.StringVar(&s.key, "storage.key", "", "")
	return fs, s
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func TestCommandLineWinsOverFile(t *testing.T) {
	t.Setenv("HEARTH_SIZE", "2GiB")
	name := write(t, `
server.port: 1
db:
  max_age: 2h
  size: ${HEARTH_SIZE}
auth: {on: true}
target: [querier, ingester]
storage: {key: "${NOPE:fallback}"}
`)
	fs, s := newSet()
	require.NoError(t, Load(fs, &s.file, []string{"-server.port=7", "-config.file", name, "-config.expand-env"}))
	require.Equal(t, 7, s.port)
	require.Equal(t, 2*time.Hour, s.age)
	require.Equal(t, Bytes(2<<30), s.size)
	require.True(t, s.on)
	require.Equal(t, []string{"querier", "ingester"}, s.roles.Values)
	require.Equal(t, "fallback", s.key)
}

func TestAllProblemsAtOnce(t *testing.T) {
	name := write(t, "db: {max-age: soon, sise: 3}\nauth.on:\nstorage.key: ${NOPE_NOT_SET}\nconfig.file: x\n")
	fs, s := newSet()
	err := Load(fs, &s.file, []string{"-server.port", "abc", "-server.prt", "9", "stray", "-auth.on=perhaps", "-config.expand-env", "-config.file=" + name, "-db.size"})
	for _, want := range []string{
		`-server.port: "abc" is not allowed; want a whole number`,
		`-server.prt is not a known flag; did you mean -server.port?`,
		`"stray" is not a flag`,
		`-auth.on: "perhaps" is not allowed; want true or false`,
		`-db.size needs a value: a size such as 512MiB or 2GB`,
		`-db.max-age: "soon" is not allowed; want a duration such as 30s, 5m or 1h30m`,
		`-db.sise is not a known flag; did you mean -db.size?`,
		`-auth.on has no value`,
		`-storage.key: the environment variable NOPE_NOT_SET is not set`,
		`-config.file is not a known flag`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestHelpAndMissingFile(t *testing.T) {
	fs, s := newSet()
	require.ErrorIs(t, Load(fs, &s.file, []string{"-help"}), flag.ErrHelp)
	fs, s = newSet()
	require.ErrorContains(t, Load(fs, &s.file, []string{"-config.file=/nonexistent"}), "-config.file: open /nonexistent")
}

func TestDumpIsReadBack(t *testing.T) {
	fs, s := newSet()
	require.NoError(t, Load(fs, &s.file, []string{"-target=a,b", "-target=c", "-db.size=3MiB"}))
	out, err := Dump(fs)
	require.NoError(t, err)
	require.NotContains(t, string(out), "config")
	again, s2 := newSet()
	require.NoError(t, Load(again, &s2.file, []string{"-config.file", write(t, string(out))}))
	require.Equal(t, s.size, s2.size)
	require.Equal(t, []string{"a", "b", "c"}, s2.roles.Values)
	require.Equal(t, s.age, s2.age)
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]Bytes{"0": 0, "12": 12, "1KiB": 1024, "1.5 MB": 1_500_000, "7B": 7, "2TiB": 2 << 40} {
		var b Bytes
		require.NoError(t, b.Set(in), in)
		require.Equal(t, want, b, in)
		var back Bytes
		require.NoError(t, back.Set(b.String()))
		require.Equal(t, want, back)
	}
	for _, in := range []string{"", "x", "-1MB", "99999999TiB"} {
		var b Bytes
		require.Error(t, b.Set(in), in)
	}
}

func TestExpand(t *testing.T) {
	env := func(n string) (string, bool) { return "v", n == "A" }
	got, err := expand("x${A}y${B:d:e}z$", env)
	require.NoError(t, err)
	require.Equal(t, "xvyd:ez$", got)
	_, err = expand("${A", env)
	require.Error(t, err)
	require.False(t, errors.Is(err, flag.ErrHelp))
}
