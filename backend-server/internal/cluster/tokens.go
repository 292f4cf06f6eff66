package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/grafana/dskit/ring"
)

// tokensFile is the name of the file that keeps a member's tokens, in dskit's
// format, {"tokens":[…]}; empty if they are not kept. dskit's own code for it
// does not sync the file: after a power cut it may be empty, and the member
// somewhere else on the ring.
type tokensFile string

type tokensJSON struct {
	Tokens []uint32 `json:"tokens"`
}

// load returns the tokens of the file, or none if there is no file.
func (f tokensFile) load() (ring.Tokens, error) {
	if f == "" {
		return nil, nil
	}
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var v tokensJSON
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return nil, fmt.Errorf("tokens file: %w", err)
	}
	slices.Sort(v.Tokens)
	return slices.Compact(v.Tokens), nil
}

// gone reports whether there should be a file and is none.
func (f tokensFile) gone() bool {
	if f == "" {
		return false
	}
	_, err := os.Stat(string(f))
	return errors.Is(err, fs.ErrNotExist)
}

// save replaces the file by one with tokens, whole or not at all.
func (f tokensFile) save(tokens ring.Tokens) error {
	if f == "" {
		return nil
	}
	b, err := json.Marshal(tokensJSON{tokens})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), string(f))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
