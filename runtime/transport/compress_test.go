package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
)

// text is compressible, noise is not. A long text repeats itself.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	unit := make([]byte, 0, min(n, 60<<10)+16)
	for len(unit) < min(n, 60<<10) {
		unit = append(unit, []string{"item", "price", "name", "apple", "pear", ": ", ",\n"}[r.IntN(7)]...)
	}
	return bytes.Repeat(unit, n/max(len(unit), 1)+1)[:n]
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestE32Compress(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	for _, content := range []func(int) []byte{text, noise, func(n int) []byte { return make([]byte, n) }} {
		for _, n := range []int{0, 1, 255, 256, 257, 1023, 1024, 1025, 65535, 65536, 65536 + 256, 128<<10 - 1, 128 << 10, 128<<10 + 1, 1<<20 + 1, MaxMessage} {
			src := content(n)
			packed := c.Compress([]byte("before"), src)
			if string(packed[:6]) != "before" {
				t.Fatalf("%d: destination was changed", n)
			}
			packed = packed[6:]
			if len(packed) > n+n/1024+32 {
				t.Errorf("%d bytes became %d", n, len(packed))
			}
			out, err := c.Decompress([]byte("before"), packed, n)
			if err != nil || string(out[:6]) != "before" || !bytes.Equal(out[6:], src) {
				t.Fatalf("%d: %v", n, err)
			}
			room := append(noise(n + 6 + maxBlock)[:0], "before"...) // enough: must be used
			out, err = c.Decompress(room, packed, n+1)
			if err != nil || &out[0] != &room[0] || !bytes.Equal(out[6:], src) {
				t.Fatalf("%d: %v, or the room was not used", n, err)
			}
			if n > 0 {
				if out, err = c.Decompress([]byte("before"), packed, n-1); !errors.Is(err, ErrTooLarge) || string(out) != "before" {
					t.Errorf("%d with limit %d: %d bytes, %v", n, n-1, len(out), err)
				}
			}
		}
	}
}

// A zstdFrame says what a handmade frame has.
type zstdFrame struct {
	single   bool
	reserved bool
	window   byte // descriptor: 10 + log2 in the upper 5 bits, eighths in the lower 3
	dict     []byte
	size     uint64
	sizeLen  int // 0, 1 (if single), 2, 4, 8
	checksum []byte
	blocks   []byte
}

func (f zstdFrame) bytes() []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd}
	d := map[int]byte{0: 0, 1: 0, 2: 1 << 6, 4: 2 << 6, 8: 3 << 6}[f.sizeLen] | map[int]byte{0: 0, 1: 1, 2: 2, 4: 3}[len(f.dict)]
	if f.single {
		d |= 1 << 5
	}
	if f.reserved {
		d |= 1 << 3
	}
	if f.checksum != nil {
		d |= 1 << 2
	}
	b = append(b, d)
	if !f.single {
		b = append(b, f.window)
	}
	b = append(b, f.dict...)
	size := f.size
	if f.sizeLen == 2 {
		size -= 256
	}
	b = append(b, binary.LittleEndian.AppendUint64(nil, size)[:f.sizeLen]...)
	b = append(b, f.blocks...)
	return append(b, f.checksum...)
}

const (
	rawBlock = iota
	rleBlock
	packedBlock
	reservedBlock
)

func zstdBlock(last bool, kind, size int, content ...byte) []byte {
	h := size<<3 | kind<<1
	if last {
		h |= 1
	}
	return append([]byte{byte(h), byte(h >> 8), byte(h >> 16)}, content...)
}

// zstdBlocks are n equal ones; the last one says that it is.
func zstdBlocks(n, kind, size int, content ...byte) []byte {
	return append(bytes.Repeat(zstdBlock(false, kind, size, content...), n-1), zstdBlock(true, kind, size, content...)...)
}

const windowOf1M, windowOf1M128K, windowOf128K = 10 << 3, 10<<3 | 1, 7 << 3

// badFrames must be refused with MaxMessage as limit, for the reason given.
func badFrames() map[string]struct {
	frame []byte
	want  string
} {
	type bad = struct {
		frame []byte
		want  string
	}
	c := NewCompressor()
	defer c.Close()
	good := c.Compress(nil, text(5000))
	changed := bytes.Clone(good)
	changed[len(changed)-1] ^= 1
	overfull := c.Compress(nil, text(MaxMessage+100<<10)) // that says MaxMessage
	binary.LittleEndian.PutUint32(overfull[6:], MaxMessage)
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, "skip"...)
	all := map[string]bad{
		"empty":                            {nil, "unexpected EOF"},
		"other magic":                      {[]byte("GET / HTTP/1.1\r\n"), "magic"},
		"2 GiB in 64 KiB":                  {zstdFrame{window: windowOf1M, sizeLen: 8, size: 2 << 30, blocks: zstdBlocks(16384, rleBlock, 128<<10, 0)}.bytes(), "2147483648 bytes of content"},
		"2 GiB without a size":             {zstdFrame{window: windowOf1M, blocks: zstdBlocks(16384, rleBlock, 128<<10, 0)}.bytes(), "does not say"},
		"2 GiB that says 4 MiB":            {zstdFrame{window: windowOf1M, sizeLen: 4, size: MaxMessage, blocks: zstdBlocks(16384, rleBlock, 128<<10, 0)}.bytes(), "too many blocks"},
		"33 blocks that say 4 MiB":         {zstdFrame{window: windowOf1M, sizeLen: 4, size: MaxMessage, blocks: zstdBlocks(33, rleBlock, 128<<10, 0)}.bytes(), "exceeded"},
		"2^64-1 bytes":                     {zstdFrame{window: windowOf1M, sizeLen: 8, size: math.MaxUint64, blocks: zstdBlocks(1, rleBlock, 128<<10, 0)}.bytes(), "content"},
		"2^63 bytes, single":               {zstdFrame{single: true, sizeLen: 8, size: 1 << 63, blocks: zstdBlocks(1, rleBlock, 128<<10, 0)}.bytes(), "content"},
		"limit and a byte":                 {zstdFrame{window: windowOf1M, sizeLen: 4, size: MaxMessage + 1, blocks: zstdBlocks(33, rleBlock, 128<<10, 0)}.bytes(), "at most 4194304"},
		"window over 1 MiB":                {zstdFrame{window: windowOf1M128K, sizeLen: 4, size: 4096, blocks: zstdBlocks(1, rleBlock, 4096, 0)}.bytes(), "window of 1179648 bytes"},
		"huge window":                      {zstdFrame{window: 255, sizeLen: 4, size: 4096, blocks: zstdBlocks(1, rleBlock, 4096, 0)}.bytes(), "window of"},
		"single segment over 1 MiB":        {zstdFrame{single: true, sizeLen: 4, size: 1<<20 + 1, blocks: zstdBlocks(9, rleBlock, 128<<10, 0)}.bytes(), "window of 1048577 bytes"},
		"small window":                     {zstdFrame{window: 0, sizeLen: 4, size: 4096, blocks: zstdBlocks(1, rleBlock, 4096, 0)}.bytes(), "bad zstd frame"},
		"reserved bit":                     {zstdFrame{reserved: true, single: true, sizeLen: 1, size: 1, blocks: zstdBlocks(1, rleBlock, 1, 0)}.bytes(), "reserved bit"},
		"dictionary":                       {zstdFrame{single: true, dict: []byte{1}, sizeLen: 1, size: 1, blocks: zstdBlocks(1, rleBlock, 1, 0)}.bytes(), "names dictionary 1"},
		"dictionary of 2 bytes":            {zstdFrame{single: true, dict: []byte{1, 1}, sizeLen: 1, size: 1, blocks: zstdBlocks(1, rleBlock, 1, 0)}.bytes(), "names dictionary 257"},
		"dictionary of 4 bytes":            {zstdFrame{single: true, dict: []byte{0, 0, 0, 1}, sizeLen: 1, size: 1, blocks: zstdBlocks(1, rleBlock, 1, 0)}.bytes(), "names dictionary 16777216"},
		"dictionary 0":                     {zstdFrame{single: true, dict: []byte{0}, sizeLen: 1, size: 1, blocks: zstdBlocks(1, rleBlock, 1, 0)}.bytes(), "names dictionary 0"},
		"content that is not there":        {zstdFrame{window: windowOf1M, sizeLen: 4, size: MaxMessage, blocks: zstdBlocks(1, rawBlock, 1, 0)}.bytes(), "hold at most 1"},
		"packed content that is not there": {zstdFrame{window: windowOf1M, sizeLen: 4, size: MaxMessage, blocks: zstdBlocks(31, packedBlock, 2, 0, 0)}.bytes(), "hold at most"},
		"less than it says":                {zstdFrame{single: true, sizeLen: 2, size: 300, blocks: zstdBlocks(2, rleBlock, 149, 0)}.bytes(), "hold at most 298"},
		"more than it says":                {zstdFrame{single: true, sizeLen: 2, size: 300, blocks: zstdBlocks(2, rleBlock, 151, 0)}.bytes(), "bad zstd frame"},
		"empty blocks":                     {zstdFrame{single: true, sizeLen: 2, size: 300, blocks: append(bytes.Repeat(zstdBlock(false, rawBlock, 0), 16), zstdBlocks(1, rleBlock, 300, 0)...)}.bytes(), "too many blocks"},
		"block over 128 KiB":               {zstdFrame{window: windowOf1M, sizeLen: 4, size: 128<<10 + 1, blocks: zstdBlocks(1, rleBlock, 128<<10+1, 0)}.bytes(), "block too long"},
		"longest block":                    {zstdFrame{window: windowOf1M, sizeLen: 4, size: 4096, blocks: zstdBlocks(1, rawBlock, 1<<21-1, 0)}.bytes(), "block too long"},
		"reserved block":                   {zstdFrame{single: true, sizeLen: 1, size: 1, blocks: zstdBlocks(1, reservedBlock, 1, 0)}.bytes(), "reserved type"},
		"no last block":                    {zstdFrame{single: true, sizeLen: 1, size: 1, blocks: zstdBlock(false, rleBlock, 1, 0)}.bytes(), "cut off"},
		"no block":                         {zstdFrame{single: true, sizeLen: 1, size: 1}.bytes(), "cut off"},
		"packed nonsense":                  {zstdFrame{single: true, sizeLen: 2, size: 300, blocks: zstdBlocks(1, packedBlock, 4, 0xff, 0xff, 0xff, 0xff)}.bytes(), "bad zstd frame"},
		"packed and more than it says":     {overfull, "bad zstd frame"},
		"wrong checksum":                   {changed, "bad zstd frame"},
		"half a checksum":                  {zstdFrame{single: true, sizeLen: 1, size: 1, blocks: zstdBlocks(1, rleBlock, 1, 0), checksum: []byte{0, 0}}.bytes(), "cut off"},
		"skippable":                        {skippable, "skippable"},
		"skippable before":                 {append(bytes.Clone(skippable), good...), "skippable"},
		"skippable after":                  {append(bytes.Clone(good), skippable...), "12 bytes after its end"},
		"two frames":                       {append(bytes.Clone(good), good...), "bytes after its end"},
		"many frames":                      {bytes.Repeat(zstdFrame{single: true, sizeLen: 1, size: 255, blocks: zstdBlocks(1, rleBlock, 255, 0)}.bytes(), 5000), "bytes after its end"},
		"empty frame after":                {append(bytes.Clone(good), zstdFrame{single: true, sizeLen: 1, blocks: zstdBlocks(1, rawBlock, 0)}.bytes()...), "9 bytes after its end"},
		"a byte after":                     {append(bytes.Clone(good), 0), "1 bytes after its end"},
	}
	for i := 1; i <= 8; i++ {
		all["cut to "+strings.Repeat("half of ", i)+"all"] = bad{good[:len(good)>>i], "bad zstd frame"}
	}
	return all
}

func goodFrames() map[string][]byte {
	return map[string][]byte{
		"nothing":        zstdFrame{single: true, sizeLen: 1, blocks: zstdBlocks(1, rawBlock, 0)}.bytes(),
		"one byte":       zstdFrame{single: true, sizeLen: 1, size: 1, blocks: zstdBlocks(1, rleBlock, 1, 'x')}.bytes(),
		"limit":          zstdFrame{window: windowOf1M, sizeLen: 4, size: MaxMessage, blocks: zstdBlocks(32, rleBlock, 128<<10, 0)}.bytes(),
		"8 byte size":    zstdFrame{window: windowOf128K, sizeLen: 8, size: 3, blocks: zstdBlocks(3, rleBlock, 1, 0)}.bytes(),
		"single segment": zstdFrame{single: true, sizeLen: 4, size: 1 << 20, blocks: zstdBlocks(8, rleBlock, 128<<10, 0)}.bytes(),
		"few blocks":     zstdFrame{single: true, sizeLen: 2, size: 300, blocks: append(bytes.Repeat(zstdBlock(false, rawBlock, 0), 15), zstdBlocks(1, rleBlock, 300, 0)...)}.bytes(),
	}
}

func TestDecompressGood(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	for name, f := range goodFrames() {
		if _, err := c.Decompress(nil, f, MaxMessage); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Decompress(nil, f, -1); !errors.Is(err, ErrTooLarge) && name != "nothing" {
			t.Errorf("%s with limit -1: %v", name, err)
		}
	}
}

func TestDecompressBad(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	if _, err := c.Decompress(nil, c.Compress(nil, text(MaxMessage)), MaxMessage); err != nil { // what is made once
		t.Fatal(err)
	}
	for name, tt := range badFrames() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := c.Decompress([]byte("before"), tt.frame, MaxMessage)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrCompressed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if string(out) != "before" {
			t.Errorf("%s: %d bytes were returned", name, len(out))
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("%s: allocated %d bytes", name, n)
		}
	}
}

func TestDecompressTruncated(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	for _, size := range []int{0, 100, 3000, 200 << 10} {
		packed := c.Compress(nil, text(size))
		for n := range packed {
			if n > 100 && n < len(packed)-100 && n%997 != 0 {
				continue
			}
			if _, err := c.Decompress(nil, packed[:n:n], MaxMessage); !errors.Is(err, ErrCompressed) {
				t.Errorf("%d bytes, cut to %d of %d: %v", size, n, len(packed), err)
			}
		}
	}
}

// What other encoders write is taken too, if it keeps within the limits.
func TestDecompressForeign(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	src := text(300 << 10)
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression} {
		for _, crc := range []bool{false, true} {
			e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(crc), zstd.WithWindowSize(maxWindow), zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.Decompress(nil, e.EncodeAll(src, nil), len(src))
			if err != nil || !bytes.Equal(out, src) {
				t.Errorf("%v, checksum %v: %v", level, crc, err)
			}
			e.Close()
		}
	}
}

func TestCompressorConcurrent(t *testing.T) {
	c := NewCompressor()
	src := text(20 << 10)
	bad := badFrames()["wrong checksum"].frame
	var group sync.WaitGroup
	for range 8 * runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for range 5 {
				out, err := c.Decompress(nil, c.Compress(nil, src), len(src))
				if err != nil || !bytes.Equal(out, src) {
					t.Error(err)
				}
				if _, err := c.Decompress(nil, bad, MaxMessage); !errors.Is(err, ErrCompressed) {
					t.Errorf("wrong checksum: %v", err)
				}
			}
		})
	}
	group.Wait()
	limit := runtime.GOMAXPROCS(0)
	if e, d := len(c.encoders.idle), len(c.decoders.idle); e == 0 || e > limit || d == 0 || d > limit {
		t.Errorf("%d encoders and %d decoders, want 1 to %d", e, d, limit)
	}
	c.Close()
	c.Close()
	out, err := c.Decompress(nil, c.Compress(nil, src), len(src))
	if err != nil || !bytes.Equal(out, src) {
		t.Errorf("after Close: %v", err)
	}
	if e, d := len(c.encoders.idle), len(c.decoders.idle); e+d > 0 {
		t.Errorf("%d encoders and %d decoders were kept after Close", e, d)
	}
}

// A node in a test's bubble has a compressor of its own, and what it leaves behind must not reach one outside.
func TestCompressorInBubble(t *testing.T) {
	outside := NewCompressor()
	defer outside.Close()
	use := func(t *testing.T, c *Compressor) {
		src := text(20 << 10)
		var group sync.WaitGroup
		for range 4 * runtime.GOMAXPROCS(0) {
			group.Go(func() {
				out, err := c.Decompress(nil, c.Compress(nil, src), len(src))
				if err != nil || !bytes.Equal(out, src) {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			c := NewCompressor()
			defer c.Close()
			use(t, c)
		})
		use(t, outside)
	}
}

func TestCompressorIdle(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	c.Compress(nil, text(100))
	if _, err := c.Decompress(nil, badFrames()["2 GiB in 64 KiB"].frame, MaxMessage); err == nil {
		t.Error("bomb was unpacked")
	}
	if len(c.encoders.idle)+len(c.decoders.idle) > 0 {
		t.Error("made an encoder or decoder without need")
	}
}

func TestWorth(t *testing.T) {
	var w Worth
	for size, want := range map[int]bool{0: false, 1024: false, 1025: true, MaxMessage: true} {
		if got := w.Try(size); got != want {
			t.Errorf("%d bytes: %v", size, got)
		}
	}
	// It lets pass 2, 4, … 1024 messages, and no more.
	for i := range 13 {
		if !w.Try(2000) {
			t.Fatalf("round %d: not tried", i)
		}
		if w.Saw(2000, 1900) {
			t.Fatalf("round %d: paid", i)
		}
		passed := 0
		for w.Try(100); !w.Try(2000); passed++ { // a small message does not count
		}
		if want := 2 << min(i, 9); passed != want {
			t.Fatalf("round %d: let %d pass, want %d", i, passed, want)
		}
	}
	if !w.Saw(1100, 1000) { // exactly the ratio
		t.Error("ratio 1.1 did not pay")
	}
	for range 10 {
		if !w.Try(2000) {
			t.Fatal("not tried after success")
		}
	}
	// Messages that were tried at the same time count once.
	for range 10 {
		if w.Saw(2000, 2010) {
			t.Error("grew and paid")
		}
	}
	for i, want := range []bool{false, false, true} {
		if w.Try(2000) != want {
			t.Errorf("message %d after it: %v", i, !want)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, tt := range badFrames() {
		f.Add(tt.frame)
	}
	for _, b := range goodFrames() {
		f.Add(b)
	}
	c := NewCompressor()
	f.Cleanup(c.Close)
	f.Add(c.Compress(nil, text(3000)))
	reference, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(reference.Close)
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 256 << 10
		out, err := c.Decompress([]byte("before"), b, limit)
		if string(out[:6]) != "before" || len(out) > limit+6 {
			t.Fatalf("%d bytes", len(out))
		}
		if err == nil {
			want, err := reference.DecodeAll(b, nil)
			if err != nil || !bytes.Equal(out[6:], want) {
				t.Fatalf("%d bytes, by the reference %d bytes, %v", len(out)-6, len(want), err)
			}
		} else if !errors.Is(err, ErrCompressed) || len(out) != 6 {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		packed := c.Compress(nil, b)
		if out, err = c.Decompress(nil, packed, len(b)); err != nil || !bytes.Equal(out, b) {
			t.Fatalf("round trip of %d bytes: %v", len(b), err)
		}
	})
}

func BenchmarkCompressor(b *testing.B) {
	c := NewCompressor()
	defer c.Close()
	for _, size := range []int{2 << 10, 64 << 10, 1 << 20} {
		src := text(size)
		packed := c.Compress(nil, src)
		b.Run("compress/"+sizeName(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			dst := make([]byte, 0, 2*size)
			for b.Loop() {
				c.Compress(dst, src)
			}
		})
		b.Run("decompress/"+sizeName(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			dst := make([]byte, 0, size)
			for b.Loop() {
				if _, err := c.Decompress(dst, packed, size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizeName(n int) string {
	if n >= 1<<20 {
		return "1MiB"
	}
	return map[int]string{2 << 10: "2KiB", 64 << 10: "64KiB"}[n]
}
