package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// folderName is the data folder's name below Grafana's.
const folderName = "hearth"

// Environment is what a plugin process can know about its place.
type Environment struct {
	Getenv     func(string) string
	Executable string // path of the running executable
	CacheDir   string // the user's cache folder, may be empty
}

// Folder finds or makes the data folder: the first of these that can be
// written to. Both processes of one Grafana see the same places, so they agree.
//
//	$HEARTH_EMBEDDED_DATA      as it is
//	$GF_PLUGIN_DATA_PATH       as it is: Grafana passes on data_path of [plugin.<id>]
//	$GF_PATHS_DATA/hearth      where Grafana forwards its environment
//	<data>/hearth              for an executable at <data>/plugins/<id>/
//	<cache folder>/hearth
//	<temporary folder>/hearth
func Folder(env Environment) (string, error) {
	var errs []error
	for _, dir := range candidates(env) {
		err := writable(dir)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no folder for the embedded server's data: %w", errors.Join(errs...))
}

func candidates(env Environment) []string {
	var dirs []string
	for _, name := range []string{"HEARTH_EMBEDDED_DATA", "GF_PLUGIN_DATA_PATH"} {
		if v := env.Getenv(name); v != "" {
			dirs = append(dirs, v)
		}
	}
	if v := env.Getenv("GF_PATHS_DATA"); v != "" {
		dirs = append(dirs, filepath.Join(v, folderName))
	}
	if plugins := filepath.Dir(filepath.Dir(env.Executable)); filepath.Base(plugins) == "plugins" {
		dirs = append(dirs, filepath.Join(filepath.Dir(plugins), folderName))
	}
	if env.CacheDir != "" {
		dirs = append(dirs, filepath.Join(env.CacheDir, folderName))
	}
	return append(dirs, filepath.Join(os.TempDir(), folderName))
}

func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
