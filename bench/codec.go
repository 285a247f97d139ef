package main

import (
	"encoding/binary"
	"errors"

	"github.com/daffi-rpc/daffi/bench/echo"
)

// The hand-written codec: as little as somebody could write who needs this one type only. All numbers are varints, all else has its length before it.

func appendItem(b []byte, item *echo.Item) []byte {
	b = binary.AppendUvarint(b, item.ID)
	b = append(binary.AppendUvarint(b, uint64(len(item.Name))), item.Name...)
	b = binary.AppendUvarint(b, uint64(len(item.Tags)))
	for _, t := range item.Tags {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return append(binary.AppendUvarint(b, uint64(len(item.Data))), item.Data...)
}

var errShort = errors.New("the item is cut short")

// parseItem does not keep b.
func parseItem(b []byte) (item echo.Item, err error) {
	number := func() (n uint64) {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			err, b = errShort, nil
			return 0
		}
		b = b[k:]
		return n
	}
	piece := func() []byte {
		n := number()
		if n > uint64(len(b)) {
			err, b = errShort, nil
			return nil
		}
		p := b[:n]
		b = b[n:]
		return p
	}
	item.ID = number()
	item.Name = string(piece())
	n := number()
	if n > uint64(len(b)) {
		return item, errShort
	}
	item.Tags = make([]string, n)
	for i := range item.Tags {
		item.Tags[i] = string(piece())
	}
	item.Data = append([]byte(nil), piece()...)
	return item, err
}

// packWant makes the request for a stream of n items of size bytes.
func packWant(n, size int) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(n)), uint64(size))
}

func parseWant(b []byte) (n, size int) {
	return int(binary.LittleEndian.Uint64(b)), int(binary.LittleEndian.Uint64(b[8:]))
}
