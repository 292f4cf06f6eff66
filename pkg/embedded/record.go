package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const recordName = "embedded.json"

type record struct {
	URL string `json:"url"`
}

// readRecord returns the address of the last server on dir, or "" if there is
// no record that can be read.
func readRecord(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return ""
	}
	var r record
	if json.Unmarshal(b, &r) != nil {
		return ""
	}
	return r.URL
}

// writeRecord replaces the record in one step, so that a reader never sees half.
func writeRecord(dir, url string) error {
	b, err := json.Marshal(record{URL: url})
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	tmp, err := os.CreateTemp(dir, recordName+".*")
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, recordName))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("record: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

func removeRecord(dir string) error {
	err := os.Remove(filepath.Join(dir, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
