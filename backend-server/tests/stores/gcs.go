package stores

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const fakeGCSVersion = "v1.56.1"

// startGCS also runs a service that gives out tokens for the key of a service
// account, since the client wants one from somewhere. The store does not look
// at it. The environment tells the client where the store is.
func startGCS(ctx context.Context, t testing.TB) Store {
	t.Helper()
	server := goProgram(ctx, t, "github.com/fsouza/fake-gcs-server", fakeGCSVersion)
	address, port := freeAddress(t)
	serve(t, address, nil, server, "-scheme=http", "-host=127.0.0.1", "-port="+port, "-backend=memory", "-public-host="+address, "-log-level=warn")
	body := strings.NewReader(`{"name":"` + BucketName + `"}`)
	res, err := http.Post("http://"+address+"/storage/v1/b?project=test", "application/json", body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	t.Setenv("STORAGE_EMULATOR_HOST", address)

	tokens := tokenService(t)
	return Store{Address: address, Flags: []string{
		"-storage.gcs.bucket=" + BucketName, "-storage.gcs.service-account=" + serviceAccount(t, tokens),
	}}
}

// tokenService returns the URL of a service that gives out tokens.
func tokenService(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(giveToken))
	t.Cleanup(s.Close)
	return s.URL
}

// giveToken gives a token to whoever asks, except under /unknown.
func giveToken(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/unknown" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid grant: account not found"}`)
		return
	}
	_, _ = io.WriteString(w, `{"access_token":"token","token_type":"Bearer","expires_in":3600}`)
}

// serviceAccount makes the file of a service account whose tokens come from a
// URL.
func serviceAccount(t testing.TB, tokenURL string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "hearth@test.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": text.String(), "token_uri": tokenURL,
	})
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "account.json")
	require.NoError(t, os.WriteFile(name, account, 0o600))
	return name
}
