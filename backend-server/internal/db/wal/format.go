package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

const (
	magic       = "hWAL"
	version     = 1
	headerSize  = 16 // of a segment
	frameSize   = 8  // of a record, before the payload
	fileSuffix  = ".wal"
	fileNameFmt = "%08d" + fileSuffix
)

var (
	byteOrder  = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func appendHeader(dst []byte, number uint32) []byte {
	at := len(dst)
	dst = append(dst, magic...)
	dst = byteOrder.AppendUint32(dst, version)
	dst = byteOrder.AppendUint32(dst, number)
	return byteOrder.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// appendFrame appends the part of a record before its payload.
func appendFrame(dst []byte, payload []byte, sum uint32) []byte {
	dst = byteOrder.AppendUint32(dst, uint32(len(payload)))
	return byteOrder.AppendUint32(dst, sum)
}

// checksum is the CRC-32C of a payload's length and the payload. The four
// bytes of the length are done by hand: a slice of them would be allocated.
func checksum(payload []byte) uint32 {
	sum := ^uint32(0)
	for length, i := uint32(len(payload)), 0; i < 4; i++ {
		sum = castagnoli[byte(sum)^byte(length)] ^ sum>>8
		length >>= 8
	}
	return crc32.Update(^sum, castagnoli, payload)
}

// segments returns the numbers of the segments in a directory, in order.
// Other files are none of ours and left alone.
func segments(fsys vfs.FS, dir string) ([]uint32, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("wal directory: %w", err)
	}
	var numbers []uint32
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, fileSuffix)
		n, err := strconv.ParseUint(digits, 10, 32)
		if ok && err == nil && name == segmentName(uint32(n)) {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func segmentName(number uint32) string { return fmt.Sprintf(fileNameFmt, number) }
