package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"github.com/grafana/grafana-plugin-sdk-go/backend/grpcplugin"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
)

// Backend is a running plugin process as seen over the plugin protocol.
type Backend struct {
	Data        grpcplugin.DataClient
	Resource    grpcplugin.ResourceClient
	Diagnostics grpcplugin.DiagnosticsClient
}

// process runs one executable for one plugin and starts it again when it has died, as Grafana does.
type process struct {
	plugin *Plugin
	env    []string
	log    hclog.Logger

	mu      sync.Mutex // guards what follows: one start at a time
	client  *goplugin.Client
	backend *Backend
	stopped bool
}

// get returns the running backend, starting it when there is none.
func (p *process) get() (*Backend, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, errors.New("the host is shutting down")
	}
	if p.client != nil && !p.client.Exited() {
		return p.backend, nil
	}
	if p.client != nil {
		p.log.Warn("plugin process died, starting it again", "plugin", p.plugin.ID)
		p.client.Kill()
	}
	client := goplugin.NewClient(p.clientConfig())
	backend, err := dispense(client)
	if err != nil {
		client.Kill()
		return nil, fmt.Errorf("start %s: %w", p.plugin.ID, err)
	}
	p.client, p.backend = client, backend
	return backend, nil
}

func (p *process) clientConfig() *goplugin.ClientConfig {
	cmd := exec.Command(p.plugin.Executable)
	cmd.Dir = p.plugin.Dir
	cmd.Env = append(os.Environ(), p.env...)
	return &goplugin.ClientConfig{
		Cmd: cmd,
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  grpcplugin.ProtocolVersion,
			MagicCookieKey:   grpcplugin.MagicCookieKey,
			MagicCookieValue: grpcplugin.MagicCookieValue,
		},
		VersionedPlugins: map[int]goplugin.PluginSet{grpcplugin.ProtocolVersion: {
			"diagnostics": &grpcplugin.DiagnosticsGRPCPlugin{},
			"resource":    &grpcplugin.ResourceGRPCPlugin{},
			"data":        &grpcplugin.DataGRPCPlugin{},
		}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           p.log.Named(p.plugin.ID),
		SkipHostEnv:      true,
	}
}

func dispense(client *goplugin.Client) (*Backend, error) {
	conn, err := client.Client()
	if err != nil {
		return nil, err
	}
	b := &Backend{}
	for name, take := range map[string]func(any) bool{
		"data":        func(v any) (ok bool) { b.Data, ok = v.(grpcplugin.DataClient); return },
		"resource":    func(v any) (ok bool) { b.Resource, ok = v.(grpcplugin.ResourceClient); return },
		"diagnostics": func(v any) (ok bool) { b.Diagnostics, ok = v.(grpcplugin.DiagnosticsClient); return },
	} {
		raw, err := conn.Dispense(name)
		if err != nil {
			return nil, fmt.Errorf("dispense %s: %w", name, err)
		}
		if !take(raw) {
			return nil, fmt.Errorf("dispense %s: unexpected client %T", name, raw)
		}
	}
	return b, nil
}

func (p *process) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.client != nil {
		p.client.Kill()
	}
}

// pid of the running process, 0 when there is none.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == nil || p.client.Exited() {
		return 0
	}
	if r := p.client.ReattachConfig(); r != nil {
		return r.Pid
	}
	return 0
}

// processes are the plugin processes of the host by plugin ID.
type processes map[string]*process

func newProcesses(plugins []*Plugin, env []string, log hclog.Logger) processes {
	ps := processes{}
	for _, p := range plugins {
		if p.Executable != "" {
			ps[p.ID] = &process{plugin: p, env: env, log: log}
		}
	}
	return ps
}

func (ps processes) start(ctx context.Context) error {
	for _, p := range ps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := p.get(); err != nil {
			return err
		}
	}
	return nil
}

func (ps processes) backend(id string) (*Backend, error) {
	p, ok := ps[id]
	if !ok {
		return nil, fmt.Errorf("plugin %s has no backend", id)
	}
	return p.get()
}

// pids are the process IDs by plugin, so that a test can end one of them.
func (ps processes) pids() map[string]int {
	pids := map[string]int{}
	for id, p := range ps {
		pids[id] = p.pid()
	}
	return pids
}

func (ps processes) stop() {
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(p.stop)
	}
	wg.Wait()
}
