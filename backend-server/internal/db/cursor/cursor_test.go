package cursor_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/cursor"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func TestReadInOrder(t *testing.T) {
	b := binary.AppendUvarint([]byte{7}, 300)
	b = binary.AppendVarint(b, -5)
	b = binary.BigEndian.AppendUint64(b, 1<<40)
	b = append(binary.AppendUvarint(b, 3), "abc"...)
	b = binary.AppendUvarint(b, 2)
	c := cursor.New("record", append(b, 1, 2))
	require.Equal(t, byte(7), c.Byte())
	require.Equal(t, uint64(300), c.Uvarint())
	require.Equal(t, int64(-5), c.Varint())
	require.Equal(t, uint64(1<<40), c.Uint64())
	require.Equal(t, "abc", c.Text())
	require.Equal(t, 2, c.Count(1))
	require.Equal(t, uint32(1), c.Index(2))
	require.Equal(t, []byte{2}, c.Rest())
	require.NoError(t, c.Err())
}

func TestTheFirstFaultStays(t *testing.T) {
	c := cursor.New("record", []byte{5, 9})
	require.Zero(t, c.Index(5))
	require.Zero(t, c.Byte())
	require.Zero(t, c.Text())
	require.True(t, fault.Is(c.Err(), fault.Corrupt))
	require.EqualError(t, c.Err(), "record: index 5 in a table of 5")
	require.Empty(t, c.Rest())
}
