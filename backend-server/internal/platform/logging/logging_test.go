package logging

import (
	"bytes"
	"testing"

	"github.com/go-kit/log/level"
	"github.com/stretchr/testify/require"
)

func TestValidateNamesEveryProblem(t *testing.T) {
	c := Config{Level: "loud", Format: "xml"}
	problems := c.Validate()
	require.Len(t, problems, 2)
	require.ErrorContains(t, problems[0], `-log.level: "loud" is not allowed; want debug, info, warn or error`)
	require.ErrorContains(t, problems[1], `-log.format: "xml" is not allowed; want logfmt or json`)
}

func TestKitKeepsLevelAndAttributes(t *testing.T) {
	var out bytes.Buffer
	l, err := New(Config{Level: "warn", Format: "logfmt"}, &out)
	require.NoError(t, err)
	k := Kit(l)
	require.NoError(t, level.Info(k).Log("msg", "quiet"))
	require.Empty(t, out.String())
	require.NoError(t, level.Error(k).Log("msg", "bucket away", "err", "no route", "odd"))
	require.Contains(t, out.String(), `level=ERROR msg="bucket away" err="no route" odd=(MISSING)`)
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	l, err := New(Config{Level: "info", Format: "json"}, &out)
	require.NoError(t, err)
	l.Info("hello", "n", 1)
	require.Contains(t, out.String(), `"msg":"hello","n":1`)
}
