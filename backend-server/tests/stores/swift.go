package stores

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/ncw/swift"
	"github.com/stretchr/testify/require"
)

// launcher runs one of Swift's servers with its settings in a folder of ours,
// and stands in for memcached.
//
//go:embed swift_launcher.py
var launcher string

// swiftPython is the interpreter that Debian's packages are installed for.
const swiftPython = "/usr/bin/python3"

const (
	swiftUser = "test:tester"
	swiftKey  = "testing"
)

func startSwift(ctx context.Context, t testing.TB) Store {
	t.Helper()
	for _, program := range []string{"swift-proxy-server", "swift-account-server", "swift-container-server", "swift-object-server", "swift-ring-builder"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("\n!! OPENSTACK SWIFT IS NOT INSTALLED, it is NOT tested: %v (apt-get install swift-proxy swift-account swift-container swift-object)\n", err)
		}
	}
	dir := t.TempDir()
	me, err := user.Current()
	require.NoError(t, err)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "devices", "d1"), 0o755))
	write("launcher.py", launcher)
	write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = only\ndefault = yes\n")
	run := func(kind, address, port, more string) {
		settings := fmt.Sprintf("[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = %s\nuser = %s\nworkers = 0\nswift_dir = %s\ndevices = %s\nmount_check = false\ndisable_fallocate = true\n%s",
			port, me.Username, dir, filepath.Join(dir, "devices"), more)
		write(kind+".conf", settings)
		serve(t, address, []string{"PYTHONPATH=" + dir}, swiftPython, filepath.Join(dir, "launcher.py"), dir, kind)
	}
	for _, kind := range []string{"account", "container", "object"} {
		address, port := freeAddress(t)
		builder := filepath.Join(dir, kind+".builder")
		require.NoError(t, command(ctx, nil, "swift-ring-builder", builder, "create", "4", "1", "0"))
		require.NoError(t, command(ctx, nil, "swift-ring-builder", builder, "add", "r1z1-"+address+"/d1", "1"))
		require.NoError(t, command(ctx, nil, "swift-ring-builder", builder, "rebalance"))
		run(kind, address, port, fmt.Sprintf("[pipeline:main]\npipeline = %[1]s-server\n[app:%[1]s-server]\nuse = egg:swift#%[1]s\n", kind))
	}
	address, port := freeAddress(t)
	run("proxy", address, port, fmt.Sprintf(proxySettings, swiftKey))

	url := "http://" + address + "/auth/v1.0"
	client := swift.Connection{AuthUrl: url, UserName: swiftUser, ApiKey: swiftKey}
	require.NoError(t, client.Authenticate())
	require.NoError(t, client.ContainerCreate(BucketName, nil))
	return Store{Address: address, Flags: []string{
		"-storage.swift.auth-url=" + url, "-storage.swift.username=" + swiftUser, "-storage.swift.password=" + swiftKey,
		"-storage.swift.container=" + BucketName,
	}}
}

const proxySettings = `[pipeline:main]
pipeline = catch_errors memory listing_formats tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:memory]
paste.filter_factory = launcher:memory
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = %s .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
`
