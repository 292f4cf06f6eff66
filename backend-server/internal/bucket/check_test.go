package bucket

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket/store"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// answer is what a store answers to everything.
type answer struct {
	status int
	header map[string]string
	body   string
}

func (a answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

func s3Error(status int, code, message string) answer {
	return answer{status, map[string]string{"Content-Type": "application/xml"},
		`<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message + `</Message><RequestId>1</RequestId></Error>`}
}

func azureError(status int, code, message, detail string) answer {
	return answer{status, map[string]string{"Content-Type": "application/xml", "x-ms-error-code": code},
		"\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>" + code + "</Code><Message>" + message +
			"\nRequestId:1\nTime:2026-01-01T00:00:00Z</Message>" + detail + "</Error>"}
}

// ahead is an answer of a store whose clock is behind ours.
func ahead(a answer, by time.Duration) answer {
	a.header["Date"] = time.Now().Add(-by).UTC().Format(http.TimeFormat)
	return a
}

// The answers are those of AWS, Azure and of proxies, as their documentation and
// their users show them; those of the servers that can be run are asked for by
// the tests of package stores.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		backend string
		answer  answer
		kind    fault.Kind
		says    []string
	}{
		"no bucket": {S3, s3Error(404, "NoSuchBucket", "The specified bucket does not exist"), fault.Invalid,
			[]string{`the s3 bucket "blocks": there is no such bucket`, "-storage.s3.bucket", "NoSuchBucket"}},
		"denied": {S3, s3Error(403, "AccessDenied", "Access Denied"), fault.Invalid,
			[]string{"there is no permission to put objects", "-storage.s3.access-key-id"}},
		"expired": {S3, s3Error(400, "ExpiredToken", "The provided token has expired."), fault.Invalid,
			[]string{"does not accept the credentials", "The provided token has expired."}},
		"skewed": {S3, ahead(s3Error(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."), time.Hour), fault.Invalid,
			[]string{"the clocks of this machine and the store are too far apart, this one is 1h0m", "ahead", "look at the clock of this machine"}},
		"behind": {S3, ahead(s3Error(403, "RequestTimeTooSkewed", "The difference is too large."), -time.Hour), fault.Invalid,
			[]string{"this one is", "behind"}},
		"redirect": {S3, s3Error(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint."), fault.Invalid,
			[]string{"the bucket is in another region", "-storage.s3.region"}},
		"slow down": {S3, s3Error(503, "SlowDown", "Please reduce your request rate."), fault.Unavailable,
			[]string{"the store is away, or has too much to do"}},
		"bad gateway": {S3, answer{502, nil, "<html><body>Bad Gateway</body></html>"}, fault.Unavailable, []string{"the store is away"}},
		"no store": {S3, answer{405, map[string]string{"Content-Type": "text/html"}, "<html>\n<body>Not here</body>\n</html>"}, fault.Invalid,
			[]string{"the store refuses to put objects"}},
		"TLS is spoken": {S3, answer{400, map[string]string{"Content-Type": "text/plain"}, "Client sent an HTTP request to an HTTPS server.\n"}, fault.Invalid,
			[]string{"speaks TLS where none is expected, or the other way round", "-storage.s3.insecure"}},
		"azure clock": {Azure, azureError(403, "AuthenticationFailed", "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.",
			"<AuthenticationErrorDetail>Request date header too old: 'Thu, 01 Jan 2026 00:00:00 GMT'</AuthenticationErrorDetail>"), fault.Invalid,
			[]string{"the clocks of this machine and the store are too far apart"}},
		"azure key": {Azure, azureError(403, "AuthenticationFailed", "Server failed to authenticate the request.", ""), fault.Invalid,
			[]string{"does not accept the credentials", "-storage.azure.account-key"}},
		"azure role": {Azure, azureError(403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation using this permission.", ""), fault.Invalid,
			[]string{"there is no permission to put objects", "This request is not authorized to perform this operation using this permission. (Auth"}},
		"swift login": {Swift, answer{401, nil, "Unauthorized"}, fault.Invalid, []string{"does not accept the credentials", "-storage.swift.password"}},
		"swift role":  {Swift, answer{403, nil, "Forbidden"}, fault.Invalid, []string{"there is no permission"}},
		"swift away":  {Swift, answer{503, nil, ""}, fault.Unavailable, []string{"the store is away"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			err := check(t, at(c.backend, server.URL))
			require.Equal(t, c.kind, fault.KindOf(err), "%v", err)
			for _, want := range c.says {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// at returns the settings for a store at a URL.
func at(backend, url string) Config {
	host := strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://")
	return Config{
		Backend: backend,
		S3: store.S3{Endpoint: host, Insecure: strings.HasPrefix(url, "http://"), Bucket: "blocks", Region: "r", Lookup: "path",
			AccessKeyID: "id", SecretAccessKey: "secret"},
		Azure: store.Azure{Endpoint: url, AccountName: "a", AccountKey: "c2VjcmV0", Container: "b"},
		Swift: store.Swift{AuthURL: url + "/auth/v1.0", Username: "u", Password: "secret", Container: "b"},
	}
}

func check(t *testing.T, cfg Config) error {
	t.Helper()
	s, err := Open(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	err = s.Check(t.Context())
	require.Error(t, err)
	return err
}

func TestCertificates(t *testing.T) {
	server := httptest.NewTLSServer(s3Error(404, "NoSuchBucket", "none"))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	cfg := at(S3, server.URL)
	err := check(t, cfg)
	require.True(t, fault.Is(err, fault.Invalid), "%v", err)
	require.ErrorContains(t, err, "the certificate of the store is not trusted: look at -storage.tls-ca-file")

	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(cfg.CAFile, pemOf(server.Certificate()), 0o600))
	require.ErrorContains(t, check(t, cfg), "there is no such bucket", "now it is trusted")

	require.NoError(t, os.WriteFile(cfg.CAFile, []byte("nothing"), 0o600))
	_, err = Open(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "-storage.tls-ca-file")
	require.ErrorContains(t, err, "holds no certificate in PEM")
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func TestCheckOfAFolder(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Backend: Filesystem, Dir: dir, Prefix: "p"}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, s.Check(t.Context()))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "nothing stays")

	err = s.explain("put", errors.Join(errors.New("mkdir"), fs.ErrPermission))
	require.True(t, fault.Is(err, fault.Invalid), "%v", err)
	require.ErrorContains(t, err, "there is no permission to put objects: look at -storage.filesystem.dir")
}

func TestMissingSettingsAreNamed(t *testing.T) {
	for backend, wants := range map[string][]string{
		S3:    {"-storage.s3.endpoint is missing", "-storage.s3.bucket is missing", `-storage.s3.bucket-lookup-type: "" is not allowed`},
		GCS:   {"-storage.gcs.bucket is missing"},
		Azure: {"-storage.azure.container is missing", "-storage.azure.account-name is missing", "-storage.azure.endpoint is missing"},
		Swift: {"-storage.swift.container is missing", "-storage.swift.auth-url is missing", "-storage.swift.username is missing", "-storage.swift.password is missing"},
	} {
		cfg := Config{Backend: backend}
		problems := errors.Join(cfg.Validate()...)
		for _, want := range wants {
			require.ErrorContains(t, problems, want)
		}
		require.Len(t, cfg.Validate(), len(wants), "%v", problems)
	}
	cfg := at(S3, "http://h")
	require.Empty(t, cfg.Validate())
	cfg.S3.SSE, cfg.S3.KMSContext, cfg.S3.Endpoint, cfg.S3.AccessKeyID, cfg.S3.Bucket = "SSE-KMS", "{", "https://h/b", "", "B"
	require.Len(t, cfg.Validate(), 5)
	cfg = at(Azure, "https://h")
	cfg.Azure.AccountKey = ""
	require.Len(t, cfg.Validate(), 1, "a URL needs a key")
}
