package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

func segmentPath(n uint32) string { return filepath.Join(testDir, segmentName(n)) }

// segmentOf returns the bytes of a segment with the given payloads.
func segmentOf(number uint32, payloads ...string) []byte {
	b := appendHeader(nil, number)
	for _, p := range payloads {
		b = append(appendFrame(b, []byte(p), checksum([]byte(p))), p...)
	}
	return b
}

// logOf returns a file system with these segments, the first being number 1.
func logOf(t testing.TB, segments ...[]byte) *vfs.Mem {
	t.Helper()
	fsys := vfs.NewMem()
	require.NoError(t, fsys.MkdirAll(testDir))
	for i, b := range segments {
		require.NoError(t, vfs.WriteFile(fsys, segmentPath(uint32(i+1)), b))
	}
	return fsys
}

// TestFormat pins the bytes on disk: a change here needs a new version.
func TestFormat(t *testing.T) {
	fsys := vfs.NewMem()
	l := open(t, fsys, Options{})
	put(t, l, "hello", "")
	got, err := vfs.ReadFile(fsys, segmentPath(1))
	require.NoError(t, err)
	require.Equal(t, "6857414c"+"01000000"+"01000000"+"afc0f7e2"+
		"05000000"+"a1b1174e"+"68656c6c6f"+
		"00000000"+"c74b6748", fmt.Sprintf("%x", got))
}

func TestTornAtEveryByte(t *testing.T) {
	payloads := []string{"one", "", "three", "a longer fourth record"}
	whole := segmentOf(1, payloads...)
	var ends []int // of records
	for i := range payloads {
		ends = append(ends, len(segmentOf(1, payloads[:i+1]...)))
	}
	tails := map[string]func(cut int) []byte{
		"cut":   func(cut int) []byte { return whole[:cut] },
		"zeros": func(cut int) []byte { return append(slices.Clone(whole[:cut]), make([]byte, 40)...) },
		"old bytes": func(cut int) []byte {
			return append(slices.Clone(whole[:cut]), "garbage that was on the disk before"...)
		},
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			for cut := range len(whole) {
				b := tail(cut)
				fsys := logOf(t, b, segmentOf(2, "next"))
				want, kept := []string{"next"}, headerSize
				for i, end := range ends {
					if cut >= end {
						want, kept = slices.Insert(want, i, payloads[i]), end
					}
				}
				got, stats := replay(t, fsys)
				if slices.Equal(got, append(slices.Clone(payloads), "next")) {
					continue // the bytes added happen to be the ones missing
				}
				require.Equal(t, want, got, "cut at %d", cut)
				require.Zero(t, stats.Corrupt, "cut at %d", cut)
				require.Zero(t, stats.LostBytes, "cut at %d", cut)
				if len(b) >= headerSize {
					require.EqualValues(t, len(b)-kept, stats.TornBytes, "cut at %d", cut)
				} else {
					require.EqualValues(t, len(b), stats.TornBytes, "cut at %d", cut)
				}
			}
		})
	}
}

// TestEveryBitFlip flips each bit of a segment: at most the record that was
// hit may be missing, unless its length was hit; then what follows may be too.
func TestEveryBitFlip(t *testing.T) {
	payloads := []string{"first", "second", "third", "fourth"}
	whole := segmentOf(1, payloads...)
	for bit := range len(whole) * 8 {
		b := slices.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		got, stats := replay(t, logOf(t, b, segmentOf(2, "next")))
		require.Equal(t, "next", got[len(got)-1])
		got = got[:len(got)-1]

		if bit/8 < headerSize {
			require.Equal(t, payloads, got, "bit %d", bit)
			require.EqualValues(t, 1, stats.Corrupt)
			continue
		}
		hit, at := 0, bit/8-headerSize
		for at >= frameSize+len(payloads[hit]) {
			at -= frameSize + len(payloads[hit])
			hit++
		}
		require.Positive(t, stats.Corrupt+stats.TornBytes, "bit %d", bit)
		if at < 4 { // its length
			require.Equal(t, payloads[:hit], got, "bit %d", bit)
			continue
		}
		require.Equal(t, slices.Delete(slices.Clone(payloads), hit, hit+1), got, "bit %d", bit)
		if hit < len(payloads)-1 {
			require.EqualValues(t, 1, stats.Corrupt)
			require.EqualValues(t, frameSize+len(payloads[hit]), stats.LostBytes)
		} else {
			require.EqualValues(t, frameSize+len(payloads[hit]), stats.TornBytes)
		}
	}
}

func TestSeveralCorruptRecordsInARow(t *testing.T) {
	b := segmentOf(1, "first", "second", "third", "fourth")
	b[len(segmentOf(1, "first"))+frameSize] ^= 1
	b[len(segmentOf(1, "first", "second"))+frameSize] ^= 1
	got, stats := replay(t, logOf(t, b))
	require.Equal(t, []string{"first", "fourth"}, got)
	require.EqualValues(t, 2, stats.Corrupt)
	require.EqualValues(t, 2*frameSize+len("second")+len("third"), stats.LostBytes)
}

func TestRecordsLargerThanTheReadBuffer(t *testing.T) {
	big := make([]byte, 3*windowBytes)
	for i := range big {
		big[i] = byte(i * 7)
	}
	want := []string{"a", string(big), "b", string(big[:windowBytes]), "c"}
	fsys := vfs.NewMem()
	put(t, open(t, fsys, Options{}), want...)
	got, _ := replay(t, fsys)
	require.True(t, slices.Equal(want, got))
}

func TestNewerVersionIsRefused(t *testing.T) {
	b := segmentOf(1, "a")
	binary.LittleEndian.PutUint32(b[4:], version+1)
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
	_, err := Replay(logOf(t, b), testDir, func([]byte) error { return nil })
	require.True(t, fault.Is(err, fault.Unimplemented), "%v", err)
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	fsys := logOf(t, segmentOf(1, "a"))
	for _, name := range []string{"1.wal", "00000007.wal.tmp", "x.wal", "00000009"} {
		require.NoError(t, vfs.WriteFile(fsys, filepath.Join(testDir, name), []byte("not ours")))
	}
	put(t, open(t, fsys, Options{}), "b")
	got, _ := replay(t, fsys)
	require.Equal(t, []string{"a", "b"}, got)
	ok, err := vfs.Exists(fsys, segmentPath(2))
	require.NoError(t, err)
	require.True(t, ok)
}

func TestUnreadableSegmentIsAnError(t *testing.T) {
	broken := errors.New("broken disk")
	for _, op := range []vfs.Op{vfs.OpList, vfs.OpOpen, vfs.OpSize, vfs.OpRead} {
		fsys := vfs.WithFaults(logOf(t, segmentOf(1, "a")), func(o vfs.Op, _ string) error {
			if o == op {
				return broken
			}
			return nil
		})
		_, err := Replay(fsys, testDir, func([]byte) error { return nil })
		require.ErrorIs(t, err, broken, op)
	}
}

// FuzzReplay feeds a segment of any bytes between two good ones: those must
// come through, the sums must add up, and nothing may panic.
func FuzzReplay(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Add(segmentOf(2, "a", "", "bcd"))
	f.Add(segmentOf(2, "a", "", "bcd")[:30])
	f.Add([]byte("hWAL"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fsys := logOf(t, segmentOf(1, "first"), b, segmentOf(3, "last"))
		var got []string
		stats, err := Replay(fsys, testDir, func(p []byte) error {
			got = append(got, string(p))
			return nil
		})
		if fault.Is(err, fault.Unimplemented) {
			return
		}
		require.NoError(t, err)
		require.Equal(t, "first", got[0])
		require.Equal(t, "last", got[len(got)-1])
		headers := int64(2 * headerSize)
		if len(b) >= headerSize {
			headers += headerSize
		}
		total := int64(len(segmentOf(1, "first")) + len(b) + len(segmentOf(3, "last")))
		require.Equal(t, total, headers+stats.Records*frameSize+stats.Bytes+stats.LostBytes+stats.TornBytes)
	})
}
