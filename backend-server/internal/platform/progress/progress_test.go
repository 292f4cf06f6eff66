package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bar returns a bar whose clock goes on a second with every look at it.
func bar(out *bytes.Buffer, terminal bool) *Bar {
	at := time.Unix(0, 0)
	return &Bar{out: out, terminal: terminal, now: func() time.Time { at = at.Add(time.Second); return at }}
}

func TestLinesNowAndThen(t *testing.T) {
	var out bytes.Buffer
	b := bar(&out, false)
	b.Begin("reading", 50, Count)
	for range 25 {
		b.Add(2)
	}
	b.End()
	require.Equal(t, "reading:  40%, 20 of 50, 10s, 15s left\nreading:  80%, 40 of 50, 20s, 5s left\n", out.String())
	out.Reset()
	b.Begin("looking", 0, Bytes)
	for range 10 {
		b.Add(1 << 20)
	}
	require.Equal(t, "looking: 10.0 MiB, 10s\n", out.String())
}

func TestBarOnATerminal(t *testing.T) {
	var out bytes.Buffer
	b := bar(&out, true)
	b.Begin("reading", 4, Count)
	b.Add(1)
	require.Equal(t, "\r\x1b[Kreading: ["+strings.Repeat("=", 7)+strings.Repeat(" ", 23)+"]  25%, 1 of 4, 1s, 3s left", out.String())
	out.Reset()
	_, err := b.Write([]byte("a.pb.gz: broken\n"))
	require.NoError(t, err)
	b.End()
	require.Equal(t, "\r\x1b[Ka.pb.gz: broken\n", out.String())
}

func TestNoBar(t *testing.T) {
	var none *Bar
	none.Begin("x", 1, Count)
	none.Add(1)
	none.End()
	n, err := none.Write([]byte("abc"))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	var out bytes.Buffer
	New(&out).Add(1)
	require.Empty(t, out.String(), "nothing has begun")
	require.Equal(t, []string{"5 B", "1.0 KiB", "3.5 GiB"}, []string{Bytes(5), Bytes(1024), Bytes(7 << 29)})
}
