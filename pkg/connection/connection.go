// Package connection decides which server an instance of the plugin asks: the
// one its settings name, or the one embedded in a plugin process.
//
// The app and each data source hold one Connection. It hands out a client
// when a request needs one, because the embedded server may still be starting,
// may live in another process and may move to another port.
//
// Invariant: credentials from the settings go to the server that the settings
// name and never to an embedded one.
package connection

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hearth-profiles/hearth/pkg/embedded"
	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// statusTimeout bounds how long a status page waits for a server's answer.
const statusTimeout = 3 * time.Second

// ModeRemote is the mode of a connection to a server that the settings name.
const ModeRemote = "remote"

// Embedded is the server inside the plugin's processes.
type Embedded interface {
	// Start makes the server wanted; it does not wait.
	Start()
	// URL waits until a server is ready, within limits, and returns its address.
	URL(ctx context.Context) (string, error)
	// Status says what is going on now.
	Status() embedded.Status
}

// Connection hands out clients. It is safe for concurrent use.
type Connection struct {
	remote   *upstream.Client // nil: embedded
	embedded Embedded
	http     *http.Client

	mu     sync.Mutex
	cached *upstream.Client // client of the embedded server's last address; guarded by mu
}

// New returns a connection to the server that cfg names. Without a URL in cfg
// the embedded server is started and asked.
func New(cfg upstream.Config, httpClient *http.Client, emb Embedded) (*Connection, error) {
	c := &Connection{embedded: emb, http: httpClient}
	if cfg.URL == "" {
		emb.Start()
		return c, nil
	}
	remote, err := upstream.New(cfg, httpClient)
	if err != nil {
		return nil, err
	}
	c.remote = remote
	return c, nil
}

// Client returns a client for the server to ask now.
func (c *Connection) Client(ctx context.Context) (*upstream.Client, error) {
	if c.remote != nil {
		return c.remote, nil
	}
	url, err := c.embedded.URL(ctx)
	if err != nil {
		return nil, upstream.Unavailable("the embedded server is not ready: %s", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached == nil || c.cached.URL() != url {
		client, err := upstream.New(upstream.Config{URL: url}, c.http)
		if err != nil {
			return nil, err
		}
		c.cached = client
	}
	return c.cached, nil
}

// Status is what the settings page shows.
type Status struct {
	Mode    string `json:"mode"`
	URL     string `json:"url"`
	Ready   bool   `json:"ready"`
	Message string `json:"message"`
	Version string `json:"version"`
}

// Status asks the server how it is.
func (c *Connection) Status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	if c.remote != nil {
		s := Status{Mode: ModeRemote, URL: c.remote.URL(), Message: "using the server of the settings"}
		return ask(ctx, c.remote, s)
	}
	now := c.embedded.Status()
	s := Status{Mode: string(now.Mode), URL: now.URL, Message: now.Message}
	if now.URL == "" {
		return s
	}
	client, err := c.Client(ctx)
	if err != nil {
		s.Message = err.Error()
		return s
	}
	return ask(ctx, client, s)
}

func ask(ctx context.Context, client *upstream.Client, s Status) Status {
	if err := client.Ready(ctx); err != nil {
		s.Message = err.Error()
		return s
	}
	s.Ready = true
	if info, err := client.Build(ctx); err == nil {
		s.Version = info.Version
	} else {
		s.Message = fmt.Sprintf("%s; its version is unknown", s.Message)
	}
	return s
}
