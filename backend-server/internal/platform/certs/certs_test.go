package certs_test

import (
	"crypto/tls"
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs/certstest"
)

func TestReload(t *testing.T) {
	ca, dir, failures := certstest.New(t), t.TempDir(), 0
	files := ca.Sign(dir, "127.0.0.1", 7)
	r, err := certs.New(files, slog.New(slog.DiscardHandler), func() { failures++ })
	require.NoError(t, err)
	shows := func() int64 {
		cfg, err := r.Server(nil)
		require.NoError(t, err)
		require.Equal(t, tls.RequireAndVerifyClientCert, cfg.ClientAuth)
		mine, err := r.Client()
		require.NoError(t, err)
		require.Equal(t, cfg.Certificates, mine.Certificates)
		return cfg.Certificates[0].Leaf.SerialNumber.Int64()
	}
	require.EqualValues(t, 7, shows())
	ca.Sign(dir, "127.0.0.1", 8)
	require.EqualValues(t, 8, shows())

	broken := map[string]func() error{
		"torn":    func() error { return os.WriteFile(files.Cert, []byte("torn"), 0o600) },
		"no CA":   func() error { return os.WriteFile(files.CA, []byte("-"), 0o600) },
		"removed": func() error { return os.Remove(files.Key) },
	}
	ofCA, err := os.ReadFile(files.CA)
	require.NoError(t, err)
	for name, harm := range broken {
		require.NoError(t, harm(), name)
		before := failures
		require.EqualValues(t, 8, shows(), name)
		require.EqualValues(t, 8, shows(), name)
		require.Equal(t, before+1, failures, "%s: told once", name)
		require.NoError(t, os.WriteFile(files.CA, ofCA, 0o600))
		ca.Sign(dir, "127.0.0.1", 8)
		require.EqualValues(t, 8, shows(), name)
	}
	require.NoError(t, os.Chtimes(files.Cert, time.Now(), time.Now().Add(time.Second)))
	ca.Sign(dir, "127.0.0.1", 9)
	require.EqualValues(t, 9, shows())
}

func TestWithoutAuthorities(t *testing.T) {
	files := certstest.New(t).Sign(t.TempDir(), "localhost", 7)
	files.CA = ""
	r, err := certs.New(files, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	cfg, err := r.Server(nil)
	require.NoError(t, err)
	require.Equal(t, tls.NoClientCert, cfg.ClientAuth)
}

func TestFlags(t *testing.T) {
	var f certs.Files
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	f.RegisterFlags(fs, "x.tls", "for x.", "Authorities.")
	require.Empty(t, f.Validate("x.tls", true))
	require.NoError(t, fs.Parse([]string{"-x.tls-cert-path=a"}))
	require.Len(t, f.Validate("x.tls", true), 2)
	problems := f.Validate("x.tls", false)
	require.Len(t, problems, 1)
	require.EqualError(t, problems[0], `-x.tls-key-path: "" is not allowed; want a file: TLS needs certificate and key`)
	_, err := certs.New(certs.Files{Cert: "/none", Key: "/none"}, nil, nil)
	require.ErrorContains(t, err, "stat /none")
}
