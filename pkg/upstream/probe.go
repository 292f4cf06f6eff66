package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxProbeBytes bounds what is read of a status page.
const maxProbeBytes = 64 << 10

// Ready returns nil when the server says that it can read and write.
func (c *Client) Ready(ctx context.Context) error {
	body, status, err := c.get(ctx, "/ready")
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		return nil
	}
	e := Unavailable("the server at %s is not ready (HTTP %d): %s", c.url, status, firstLine(body))
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		e = &Error{Code: "unauthenticated", Status: status, Message: fmt.Sprintf("the server at %s refused the credentials (HTTP %d)", c.url, status)}
	}
	return e
}

// BuildInfo says what program answers.
type BuildInfo struct {
	Application string
	Version     string
}

// Build asks the server for its build information.
func (c *Client) Build(ctx context.Context) (BuildInfo, error) {
	body, status, err := c.get(ctx, "/api/v1/status/buildinfo")
	if err != nil {
		return BuildInfo{}, err
	}
	var answer struct {
		Data struct {
			Application string `json:"application"`
			Version     string `json:"version"`
		} `json:"data"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		return BuildInfo{}, Malformed("%s has no build information (HTTP %d)", c.url, status)
	}
	return BuildInfo(answer.Data), nil
}

func (c *Client) get(ctx context.Context, path string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return nil, 0, AsError(err)
	}
	c.setHeaders(req.Header)
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, AsError(ctx.Err())
		}
		cause := err
		var ue *url.Error
		if errors.As(err, &ue) {
			cause = ue.Err
		}
		e := Unavailable("the server at %s cannot be reached: %s", c.url, cause)
		e.Status, e.err = http.StatusBadGateway, err
		return nil, 0, e
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxProbeBytes))
	if err != nil {
		return nil, 0, Unavailable("reading the answer of %s: %s", c.url, err)
	}
	return body, res.StatusCode, nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if len(line) > 200 {
		line = line[:200]
	}
	return line
}
