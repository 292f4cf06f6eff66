package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
)

// maxMessageBytes bounds one decoded answer. The largest honest one, a flame
// graph of 1,048,576 nodes, is a tenth of it.
const maxMessageBytes = 256 << 20

// Config says which server is asked, and as whom.
type Config struct {
	URL           string // http or https, may carry a path prefix
	Token         string // sent as a bearer token
	BasicUser     string // sent with BasicPassword as basic auth
	BasicPassword string
	TenantID      string // sent as X-Scope-OrgID
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("server URL %q cannot be parsed", c.URL))
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		errs = append(errs, fmt.Errorf("server URL %q must look like http://host:4040", c.URL))
	case u.User != nil:
		errs = append(errs, errors.New("the server URL must not carry a user or password: there are fields for them"))
	case u.RawQuery != "" || u.Fragment != "":
		errs = append(errs, fmt.Errorf("server URL %q must not have a query or fragment", c.URL))
	}
	if c.Token != "" && c.BasicUser != "" {
		errs = append(errs, errors.New("a token and a basic auth user are both set: only one can be sent"))
	}
	if err := validateTenant(c.TenantID); err != nil {
		errs = append(errs, err)
	}
	if strings.ContainsAny(c.Token, "\r\n") {
		errs = append(errs, errors.New("the token contains a line break"))
	}
	return errors.Join(errs...)
}

func validateTenant(id string) error {
	if len(id) > 150 {
		return fmt.Errorf("tenant ID has %d bytes, the limit is 150", len(id))
	}
	if id == "." || id == ".." {
		return fmt.Errorf("tenant ID %q is not allowed", id)
	}
	for _, r := range id {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("!-_.*'()", r) {
			return fmt.Errorf("tenant ID %q contains %q: letters, digits and !-_.*'() are allowed", id, r)
		}
	}
	return nil
}

// Client asks one server. It is safe for concurrent use.
type Client struct {
	url     string
	auth    string
	tenant  string
	http    *http.Client
	querier querierv1connect.QuerierServiceClient
}

// New returns a client for cfg that sends its requests through httpClient.
func New(cfg Config, httpClient *http.Client) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("server settings: %w", err)
	}
	c := &Client{
		url:    strings.TrimRight(cfg.URL, "/"),
		tenant: cfg.TenantID,
		http:   httpClient,
	}
	switch {
	case cfg.Token != "":
		c.auth = "Bearer " + cfg.Token
	case cfg.BasicUser != "":
		c.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.BasicUser+":"+cfg.BasicPassword))
	}
	c.querier = querierv1connect.NewQuerierServiceClient(httpClient, c.url,
		connect.WithReadMaxBytes(maxMessageBytes),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(c.intercept)))
	return c, nil
}

// URL returns the server's address without a trailing slash.
func (c *Client) URL() string { return c.url }

func (c *Client) intercept(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		c.setHeaders(req.Header())
		return next(ctx, req)
	}
}

// acceptAllLabels asks for label names as they are. Without it, servers leave
// out or rewrite names that are no Prometheus names, with dots for example.
const acceptAllLabels = "*/*;allow-utf8-labelnames=true"

func (c *Client) setHeaders(h http.Header) {
	h.Set("Accept", acceptAllLabels)
	if c.auth != "" {
		h.Set("Authorization", c.auth)
	}
	if c.tenant != "" {
		h.Set("X-Scope-OrgID", c.tenant)
	}
}
