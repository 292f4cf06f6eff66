package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const pluginIDs = "hearth-profiles-app,hearth-profiles-datasource,hearth-flamegraph-panel"

// stage is a place in which the plugin can be shown.
type stage struct {
	name         string
	bringsServer bool                        // runs a server of its own and sets the stack's address
	build        func(context.Context) error // what it needs beside dist/ and the server; may be nil
	start        func(context.Context, *stack) (baseURL string, err error)
	cleanUp      func()
	fallBack     *stage
}

// findStage chooses where to show the plugin: a Grafana that is installed, one
// in Docker, else the project's own plugin host. $HEARTH_STAGE (grafana,
// docker, host) decides instead.
func findStage(ctx context.Context) (stage, error) {
	host := stage{
		name:  "the project's plugin host (no Grafana was found)",
		build: func(ctx context.Context) error { return Host(ctx, os.Stdout, hostVersions[0]) },
		start: startHost,
	}
	wanted := os.Getenv("HEARTH_STAGE")
	switch wanted {
	case "", "grafana", "docker", "host":
	default:
		return stage{}, fmt.Errorf("HEARTH_STAGE=%q must be grafana, docker or host", wanted)
	}
	home, binary := findGrafana(os.Getenv("GRAFANA_HOME"), exec.LookPath)
	switch {
	case wanted == "host":
		host.name = "the project's plugin host"
		return host, nil
	case binary != "" && wanted != "docker":
		return stage{name: "Grafana (" + binary + ")", start: func(ctx context.Context, s *stack) (string, error) {
			return startGrafana(ctx, s, home, binary)
		}}, nil
	case wanted == "grafana":
		return stage{}, errors.New("no Grafana found: set GRAFANA_HOME to its folder or put grafana on the PATH")
	case wanted == "docker" || dockerAnswers(ctx):
		return stage{name: "Grafana in Docker", bringsServer: true, start: startCompose, cleanUp: stopCompose, fallBack: &host}, nil
	default:
		return host, nil
	}
}

// findGrafana returns Grafana's home folder and its server, or "".
func findGrafana(home string, lookPath func(string) (string, error)) (homePath, binary string) {
	if home != "" {
		if path, err := lookPath(filepath.Join(home, "bin", "grafana")); err == nil {
			return home, path
		}
	}
	path, err := lookPath("grafana")
	if err != nil {
		return "", ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		home = filepath.Dir(filepath.Dir(real))
	}
	for _, dir := range []string{home, "/usr/share/grafana"} {
		if _, err := os.Stat(filepath.Join(dir, "conf", "defaults.ini")); err == nil {
			return dir, path
		}
	}
	return "", ""
}

// startGrafana runs an installed Grafana on data of its own below ./data.
func startGrafana(ctx context.Context, s *stack, home, binary string) (string, error) {
	port, _ := choosePort(pagePort)
	env, err := grafanaEnv(port, s.serverURL)
	if err != nil {
		return "", err
	}
	p, err := start(ctx, "grafana", append(os.Environ(), env...), binary, "server", "--homepath", home)
	if err != nil {
		return "", err
	}
	s.processes = append(s.processes, p)
	base := "http://127.0.0.1:" + strconv.Itoa(port)
	s.note("Grafana's log is %s", p.log)
	return base, s.await(ctx, base+"/api/health", 2*time.Minute)
}

// grafanaEnv prepares folders below ./data and returns the settings for them.
func grafanaEnv(port int, serverURL string) ([]string, error) {
	root, err := filepath.Abs("data/grafana")
	if err != nil {
		return nil, err
	}
	dist, err := filepath.Abs(distDir)
	if err != nil {
		return nil, err
	}
	plugins, provisioning := filepath.Join(root, "plugins"), filepath.Join(root, "provisioning")
	if err := errors.Join(os.RemoveAll(plugins), os.RemoveAll(provisioning), os.MkdirAll(plugins, 0o755)); err != nil {
		return nil, fmt.Errorf("grafana folders: %w", err)
	}
	if err := os.Symlink(dist, filepath.Join(plugins, "hearth-profiles-app")); err != nil {
		return nil, fmt.Errorf("grafana plugins folder: %w", err)
	}
	if err := copyProvisioning(provisioning); err != nil {
		return nil, err
	}
	return []string{
		"GF_PATHS_DATA=" + root,
		"GF_PATHS_LOGS=" + filepath.Join(root, "log"),
		"GF_PATHS_PLUGINS=" + plugins,
		"GF_PATHS_PROVISIONING=" + provisioning,
		"GF_SERVER_HTTP_ADDR=127.0.0.1",
		"GF_SERVER_HTTP_PORT=" + strconv.Itoa(port),
		"GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS=" + pluginIDs,
		"GF_AUTH_ANONYMOUS_ENABLED=true",
		"GF_AUTH_ANONYMOUS_ORG_ROLE=Admin",
		"GF_AUTH_DISABLE_LOGIN_FORM=true",
		"GF_ANALYTICS_REPORTING_ENABLED=false",
		"GF_ANALYTICS_CHECK_FOR_UPDATES=false",
		"HEARTH_SERVER_URL=" + serverURL,
	}, nil
}

// copyProvisioning copies provisioning/ and points the dashboards' provider to
// the copy: the original names the folder's place in a container.
func copyProvisioning(to string) error {
	err := os.CopyFS(to, os.DirFS("provisioning"))
	if err != nil {
		return fmt.Errorf("copy provisioning: %w", err)
	}
	provider := filepath.Join(to, "dashboards", "provider.yaml")
	b, err := os.ReadFile(provider)
	if err != nil {
		return fmt.Errorf("dashboard provider: %w", err)
	}
	return os.WriteFile(provider, []byte(strings.ReplaceAll(string(b), "/etc/grafana/provisioning", filepath.ToSlash(to))), 0o644)
}

func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := output(ctx, "docker", "info", "--format", "{{.ServerVersion}}")
	if err != nil {
		return false
	}
	_, err = output(ctx, "docker", "compose", "version")
	return err == nil
}

// startCompose starts Grafana and the server in containers. The plugin's
// backend has to be the engine's kind, not this machine's.
func startCompose(ctx context.Context, s *stack) (string, error) {
	arch, err := output(ctx, "docker", "version", "--format", "{{.Server.Arch}}")
	if err != nil {
		return "", err
	}
	if err := Plugin(ctx, os.Stdout, "linux", arch); err != nil {
		return "", err
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", pagePort)
	err = run(ctx, os.Stdout, "docker", "compose", "up", "--build", "--detach")
	if err == nil {
		err = s.await(ctx, base+"/api/health", 2*time.Minute)
	}
	if err != nil {
		stopCompose()
		return "", err
	}
	s.serverURL = fmt.Sprintf("http://127.0.0.1:%d", serverPort)
	s.note("the logs: docker compose logs -f")
	return base, nil
}

// stopCompose works when the run's context has ended, so it brings its own.
func stopCompose() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Stdout, "docker", "compose", "down"); err != nil {
		fmt.Println(err)
	}
}

// startHost runs the plugin host on the built plugin.
func startHost(ctx context.Context, s *stack) (string, error) {
	port, _ := choosePort(pagePort)
	p, err := start(ctx, "host", os.Environ(), executable(hostBin),
		"-dist", distDir, "-web", filepath.Join(hostWeb, hostVersions[0], "dist"),
		"-listen", "127.0.0.1:"+strconv.Itoa(port), "-server-url", s.serverURL)
	if err != nil {
		return "", err
	}
	s.processes = append(s.processes, p)
	s.note("the plugin host's log is %s", p.log)
	return announced(ctx, p)
}

// announced waits until a process has printed "listening <url>".
func announced(ctx context.Context, p *process) (string, error) {
	for {
		b, err := os.ReadFile(p.log)
		if err != nil {
			return "", fmt.Errorf("log of %s: %w", p.name, err)
		}
		for line := range strings.Lines(string(b)) {
			url, ok := strings.CutPrefix(line, "listening ")
			if ok && strings.HasSuffix(url, "\n") {
				return strings.TrimSpace(url), nil
			}
		}
		select {
		case <-p.ended:
			return "", p.failure()
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
