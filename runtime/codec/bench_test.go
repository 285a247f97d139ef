package codec_test

import (
	"bytes"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

func BenchmarkEncode(b *testing.B) {
	var e codec.Encoder
	o := sampleOrder()
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(e.Bytes())
		writeOrder(&e, o)
	}
	b.SetBytes(int64(e.Len()))
}

func BenchmarkDecode(b *testing.B) {
	var e codec.Encoder
	writeOrder(&e, sampleOrder())
	var d codec.Decoder
	b.SetBytes(int64(e.Len()))
	b.ReportAllocs()
	for b.Loop() {
		d.Reset(e.Bytes())
		readOrder(&d)
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// Without what strings and slices cost: the structs alone.
func BenchmarkFields(b *testing.B) {
	var e codec.Encoder
	codec.WriteSlice(&e, sampleOrder().Lines, writeLine)
	var d codec.Decoder
	b.ReportAllocs()
	for b.Loop() {
		d.Reset(e.Bytes())
		for range d.Array(1) {
			for i := range d.Fields(lineFields) {
				switch i {
				case 1:
					d.Int()
				case 2:
					d.Float64()
				}
			}
		}
	}
}

// Bombs that are refused late, or not at all: what matters is time per byte.
func BenchmarkBombs(b *testing.B) {
	for what, c := range map[string]struct {
		head, each string
		read       func(*codec.Decoder)
	}{
		"unknown fields": {"df 00080000", "a0 c0", func(d *codec.Decoder) { readOrder(d) }},
		"skipped arrays": {"dd 00080000", "91 c0", (*codec.Decoder).Skip},
		"empty slices":   {"dd 00080000", "91 90", func(d *codec.Decoder) { codec.ReadSlice(d, 1, readLists) }},
		"nil structs":    {"dd 00010000", "c0", func(d *codec.Decoder) { codec.ReadSlice(d, 1, readLine) }},
	} {
		b.Run(what, func(b *testing.B) {
			message := append(unhex(b, c.head), bytes.Repeat(unhex(b, c.each), 1<<19)...)
			var d codec.Decoder
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				d.Reset(message)
				c.read(&d)
			}
		})
	}
}
