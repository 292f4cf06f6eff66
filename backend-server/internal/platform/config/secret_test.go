package config

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASecretIsNotShown(t *testing.T) {
	var file File
	var key Secret
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	file.RegisterFlags(fs)
	fs.Var(&key, "storage.key", "")
	out, err := Dump(fs)
	require.NoError(t, err)
	require.Equal(t, "storage:\n    key: \"\"\n", string(out))

	require.NoError(t, Load(fs, &file, []string{"-storage.key=open sesame"}))
	require.Equal(t, "open sesame", key.Reveal())
	out, err = Dump(fs)
	require.NoError(t, err)
	for _, shown := range []string{string(out), fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s %q", key, key, struct{ K Secret }{key}, key, key)} {
		require.NotContains(t, shown, "sesame")
	}
	again := flag.NewFlagSet("test", flag.ContinueOnError)
	file.RegisterFlags(again)
	again.Var(&key, "storage.key", "")
	require.ErrorContains(t, Load(again, &file, []string{"-config.file", write(t, string(out))}), `-storage.key: "<secret>" is not allowed; want a text`)
	require.Equal(t, "open sesame", key.Reveal())
}
