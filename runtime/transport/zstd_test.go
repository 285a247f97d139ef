package transport_test

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// order is what samples are made of.
type order struct {
	ID       uint64    `json:"id"`
	Customer string    `json:"customer"`
	Email    string    `json:"email"`
	Item     string    `json:"item"`
	Count    int       `json:"count"`
	Price    float64   `json:"price"`
	Paid     bool      `json:"paid"`
	At       time.Time `json:"at"`
	Tags     []string  `json:"tags"`
}

// orders makes the same ones every time.
func orders(r *rand.Rand) order {
	pick := func(words string) string {
		list := strings.Fields(words)
		return list[r.IntN(len(list))]
	}
	name := pick("Ada Grace Edsger Barbara Donald Niklaus Frances Kurt Emmy Sofia Alan John")
	family := pick("Lovelace Hopper Dijkstra Liskov Knuth Wirth Allen Gödel Noether Kovalevskaya Turing Backus")
	o := order{
		ID: r.Uint64N(1 << 40), Customer: name + " " + family, Email: strings.ToLower(name) + fmt.Sprint(r.IntN(1000)) + "@example.com",
		Item: pick("apple pear plum bread butter cheese tea coffee sugar salt"), Count: 1 + r.IntN(20), Price: float64(r.IntN(10_000)) / 100,
		Paid: r.IntN(3) > 0, At: time.Unix(1_700_000_000+r.Int64N(1<<25), 0).UTC(),
	}
	for range r.IntN(4) {
		o.Tags = append(o.Tags, pick("fresh frozen organic local import gift express"))
	}
	return o
}

// appendProtobuf appends o as protobuf would: a field's number and type, then its value.
func (o *order) appendProtobuf(b []byte) []byte {
	number := func(field int, v uint64) {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(field)<<3), v)
	}
	text := func(field int, s string) {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(field)<<3|2), uint64(len(s)))
		b = append(b, s...)
	}
	number(1, o.ID)
	text(2, o.Customer)
	text(3, o.Email)
	text(4, o.Item)
	number(5, uint64(o.Count))
	b = binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, 6<<3|1), uint64(o.Price*100))
	if o.Paid {
		number(7, 1)
	}
	number(8, uint64(o.At.Unix()))
	for _, tag := range o.Tags {
		text(9, tag)
	}
	return b
}

// encode writes o as generated code does.
func (o *order) encode(e *codec.Encoder) {
	e.Struct(9)
	e.Key("ID").Uint64(o.ID)
	e.Key("Customer").String(o.Customer)
	e.Key("Email").String(o.Email)
	e.Key("Item").String(o.Item)
	e.Key("Count").Int(o.Count)
	e.Key("Price").Float64(o.Price)
	e.Key("Paid").Bool(o.Paid)
	e.Key("At").Time(o.At)
	codec.WriteStrings(e.Key("Tags"), o.Tags)
}

// sample is a kind of content; make returns n bytes of it, the same every time.
type sample struct {
	name string
	make func(tb testing.TB, n int) []byte
}

var samples = []sample{
	{"JSON records", records(func(b []byte, o *order) []byte {
		text, _ := json.Marshal(o)
		return append(append(b, text...), '\n')
	})},
	{"Go source", goSource},
	{"protobuf records", records(func(b []byte, o *order) []byte {
		record := o.appendProtobuf(nil)
		b = binary.AppendUvarint(append(b, 1<<3|2), uint64(len(record)))
		return append(b, record...)
	})},
	{"daffi records", records(func(b []byte, o *order) []byte {
		var e codec.Encoder
		o.encode(&e)
		return append(b, e.Bytes()...)
	})},
	{"random bytes", func(_ testing.TB, n int) []byte {
		b := make([]byte, n)
		rand.NewChaCha8([32]byte{1}).Read(b)
		return b
	}},
}

func records(write func([]byte, *order) []byte) func(testing.TB, int) []byte {
	return func(_ testing.TB, n int) (b []byte) {
		r := rand.New(rand.NewPCG(1, 2))
		for len(b) < n {
			o := orders(r)
			b = write(b, &o)
		}
		return b[:n]
	}
}

// goSource is that of daffi itself, again from the start where there is too little.
func goSource(tb testing.TB, n int) (b []byte) {
	names, err := filepath.Glob("../*.go")
	if err != nil || len(names) == 0 {
		tb.Fatal("no source", err)
	}
	for len(b) < n {
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				tb.Fatal(err)
			}
			if b = append(b, text...); len(b) >= n {
				break
			}
		}
	}
	return b[:n]
}

var sampleSizes = []int{256, 1 << 10, 16 << 10, 256 << 10, 4 << 20}

func sizeName(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprint(n>>20, " MiB")
	case n >= 1<<10:
		return fmt.Sprint(n>>10, " KiB")
	}
	return fmt.Sprint(n, " B")
}

// BenchmarkZstd packs and unpacks what callers send, as a node does.
func BenchmarkZstd(b *testing.B) {
	c := transport.NewCompressor()
	defer c.Close()
	for _, s := range samples {
		for _, n := range sampleSizes {
			src := s.make(b, n)
			packed := c.Compress(nil, src)
			name := strings.ReplaceAll(s.name+"/"+sizeName(n), " ", "-")
			b.Run("pack/"+name, func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				dst := make([]byte, 0, 2*n)
				for b.Loop() {
					c.Compress(dst, src)
				}
				b.ReportMetric(float64(n)/float64(len(packed)), "ratio")
			})
			b.Run("unpack/"+name, func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				dst := make([]byte, 0, n+256<<10)
				for b.Loop() {
					if _, err := c.Decompress(dst, packed, transport.MaxMessage); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

var zstdTable = flag.Bool("zstd-table", false, "print the table of docs/performance.md")

// TestZstdTable prints it. "Pays below" is the speed of a link at which packing, sending less and unpacking takes as long as sending all.
func TestZstdTable(t *testing.T) {
	if !*zstdTable {
		t.Skip("-zstd-table is not set")
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	library := regexp.MustCompile(`github.com/klauspost/compress v\S+`).Find(mod)
	fmt.Printf("%s, %s %s/%s, %s, %d processors, %s\n\n", time.Now().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, processor(), runtime.NumCPU(), library)
	fmt.Println("| content | size | ratio | pack µs | MB/s | unpack µs | MB/s | pays below Mbit/s |\n|---|---|---|---|---|---|---|---|")
	c := transport.NewCompressor()
	defer c.Close()
	for _, s := range samples {
		for _, n := range sampleSizes {
			src := s.make(t, n)
			packed := c.Compress(nil, src)
			out, dst := make([]byte, 0, 2*n), make([]byte, 0, n+256<<10)
			pack := duration(func() { c.Compress(out, src) })
			unpack := duration(func() {
				if _, err := c.Decompress(dst, packed, transport.MaxMessage); err != nil {
					t.Fatal(err)
				}
			})
			pays := "never"
			if saved := n - len(packed); saved > 0 {
				pays = fmt.Sprintf("%.0f", 8*float64(saved)/1e6/(pack+unpack).Seconds())
			}
			fmt.Printf("| %s | %s | %.2f | %s | %.0f | %s | %.0f | %s |\n", s.name, sizeName(n), float64(n)/float64(len(packed)),
				micros(pack), float64(n)/1e6/pack.Seconds(), micros(unpack), float64(n)/1e6/unpack.Seconds(), pays)
		}
	}
}

// duration is how long f takes where nothing else runs: the fastest tenth of many times.
func duration(f func()) time.Duration {
	f()
	var all []time.Duration
	for end := time.Now().Add(300 * time.Millisecond); len(all) < 20 || time.Now().Before(end); {
		start := time.Now()
		f()
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[len(all)/10]
}

func micros(d time.Duration) string {
	if d < 100*time.Microsecond {
		return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond))
	}
	return fmt.Sprint(d.Microseconds())
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return "an unknown processor"
}

// TestWorthBacksOff sends ten thousand messages of one method: random bytes are tried hardly ever, records always, and of a method whose messages are now the
// one and now the other, records are found again.
func TestWorthBacksOff(t *testing.T) {
	const messages, size = 10_000, 4 << 10
	c := transport.NewCompressor()
	defer c.Close()
	type message struct{ size, packed int }
	of := func(b []byte) message { return message{len(b), len(c.Compress(nil, b))} }
	noise, text := of(samples[4].make(t, size)), of(samples[0].make(t, size))
	run := func(content func(i int) message) (tried, paid int) {
		var w transport.Worth
		for i := range messages {
			m := content(i)
			if !w.Try(m.size) {
				continue
			}
			tried++
			if w.Saw(m.size, m.packed) {
				paid++
			}
		}
		return tried, paid
	}
	tried, paid := run(func(int) message { return noise })
	t.Logf("random bytes: %d of %d messages were tried", tried, messages)
	// 2+4+…+1024 messages pass before the eleventh attempt, then 1024 before each.
	if want := 10 + (messages-2046-10)/1025 + 1; tried != want || paid != 0 {
		t.Errorf("random bytes: %d tried, %d paid, want %d and none", tried, paid, want)
	}
	if tried, paid := run(func(int) message { return text }); tried != messages || paid != messages {
		t.Errorf("records: %d tried, %d paid", tried, paid)
	}
	tried, paid = run(func(i int) message {
		if i < messages/2 {
			return noise
		}
		return text
	})
	t.Logf("random bytes, then records: %d tried, %d paid", tried, paid)
	if paid < messages/2-1024 {
		t.Errorf("random bytes, then records: only %d of %d paid", paid, messages/2)
	}
	small := of(make([]byte, 1<<10))
	if tried, _ := run(func(int) message { return small }); tried != 0 {
		t.Errorf("%d messages of 1 KiB were tried", tried)
	}
}
