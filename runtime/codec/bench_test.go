package codec_test

import (
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
