package store

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fragile is a body that does not stand to be used by two.
type fragile struct {
	io.Reader
	closed int
}

func (f *fragile) Close() error {
	f.closed++
	return nil
}

// TestAnswerBeforeAllIsSent: when a round trip is over, the transport is done
// with the body, even if the store did not wait for it. The race detector sees
// if it is not.
func TestAnswerBeforeAllIsSent(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusMovedPermanently))
	t.Cleanup(server.Close)
	transport, err := NewTransport("")
	require.NoError(t, err)
	t.Cleanup(transport.Close)
	for range 50 {
		sent := &fragile{Reader: strings.NewReader(strings.Repeat("x", 1<<22))}
		req, err := http.NewRequest(http.MethodPut, server.URL, sent)
		require.NoError(t, err)
		res, err := transport.RoundTrip(req)
		require.Equal(t, 1, sent.closed)
		if err == nil {
			require.NoError(t, res.Body.Close())
		}
		require.NoError(t, sent.Close())
	}
}
