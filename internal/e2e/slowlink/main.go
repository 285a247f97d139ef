// Command slowlink measures calls over a link that is slow, for scripts/slowlink.sh: one process serves and brings the controller, another calls.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "slowlink:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := daffi.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	flag.StringVar(&o.Addr, "addr", "", "of the controller")
	flag.TextVar(&o.Compression, "zstd", daffi.CompressAuto, "auto, on or off")
	role := flag.String("role", "", "serve; or records: large calls one after the other; or beside: small calls beside large ones")
	d := flag.Duration("for", 5*time.Second, "how long each figure is measured")
	flag.Parse()
	switch *role {
	case "serve":
		return serve(ctx, o)
	case "records", "beside":
		o.Name = "caller"
		node, err := daffi.Connect(ctx, o)
		if err != nil {
			return err
		}
		defer node.Close()
		if err := node.WaitMethod(ctx, DepotName+".Put"); err != nil {
			return err
		}
		if *role == "records" {
			return measureRecords(ctx, NewDepot(node), o.Compression, *d)
		}
		return measureBeside(ctx, NewDepot(node), *d)
	}
	return fmt.Errorf("-role %q is not known", *role)
}

func serve(ctx context.Context, o daffi.Options) error {
	ctl, err := controller.Listen(ctx, controller.Options{Addr: o.Addr, Logger: o.Logger})
	if err != nil {
		return err
	}
	defer ctl.Close()
	o.Name, o.Addr, o.Controller = "depot", "", ctl
	node := daffi.New(o)
	if _, err := RegisterDepot(node, newDepot()); err != nil {
		return err
	}
	return node.Run(ctx)
}

// figures are how long calls took.
type figures []time.Duration

// at is a percentile.
func (f figures) at(percent int) time.Duration {
	if len(f) == 0 {
		return 0
	}
	slices.Sort(f)
	return f[min(len(f)*percent/100, len(f)-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

// repeat calls for that long, once at least, and returns what it took and how long all of it did.
func repeat(ctx context.Context, d time.Duration, call func(context.Context) error) (took figures, all time.Duration, err error) {
	begin := time.Now()
	for time.Since(begin) < d && ctx.Err() == nil {
		start := time.Now()
		if err := call(ctx); err != nil {
			return nil, 0, err
		}
		took = append(took, time.Since(start))
	}
	return took, time.Since(begin), nil
}

// measureRecords sends and fetches JSON, one call after the other.
func measureRecords(ctx context.Context, p Depot, c daffi.Compression, d time.Duration) error {
	data := records(256 << 10)
	for _, size := range []int{16 << 10, 256 << 10} {
		for _, way := range []struct {
			name string
			call func(ctx context.Context) error
		}{
			{"to the service", func(ctx context.Context) error { _, err := p.Put(ctx, data[:size]); return err }},
			{"from the service", func(ctx context.Context) error { _, err := p.Get(ctx, size, false); return err }},
		} {
			took, all, err := repeat(ctx, d, way.call)
			if err != nil {
				return err
			}
			fmt.Printf("| %d KiB %s | %v | %.2f | %s |\n", size>>10, way.name, c, float64(len(took)*size)/1e6/all.Seconds(), ms(took.at(50)))
		}
	}
	return nil
}

// measureBeside calls with 64 bytes while messages of 4 MiB go one way or both all the time.
func measureBeside(ctx context.Context, p Depot, d time.Duration) error {
	small, large := noise(64), noise(most)
	call := func(ctx context.Context) error { _, err := p.Put(ctx, small); return err }
	to := func(ctx context.Context) error { _, err := p.Put(ctx, large); return err }
	from := func(ctx context.Context) error { _, err := p.Get(ctx, most, true); return err }
	for _, beside := range []struct {
		name   string
		others []func(context.Context) error
	}{
		{"nothing", nil},
		{"4 MiB to the service", []func(context.Context) error{to}},
		{"4 MiB from the service", []func(context.Context) error{from}},
		{"both", []func(context.Context) error{to, from}},
	} {
		busy := start(ctx, beside.others)
		time.Sleep(time.Second) // until the link is full
		took, err := every(ctx, 10*time.Millisecond, d, call)
		rate, busyErr := busy.stop()
		if err := errors.Join(err, busyErr); err != nil {
			return err
		}
		if len(beside.others) > 0 && rate == 0 {
			return fmt.Errorf("beside %s: no large message was sent", beside.name)
		}
		fmt.Printf("| %s | %d | %s | %s | %s | %.0f |\n", beside.name, len(took), ms(took.at(50)), ms(took.at(99)), ms(took.at(100)), rate)
	}
	return nil
}

// every calls at equal intervals, whether or not the calls before have ended, so that each moment counts as much.
func every(ctx context.Context, interval, d time.Duration, call func(context.Context) error) (took figures, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for range d / interval {
		<-tick.C
		wg.Go(func() {
			begin := time.Now()
			e := call(ctx)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begin))
			err = errors.Join(err, e)
		})
	}
	wg.Wait()
	return took, err
}

// traffic is calls with large messages, of each kind always two under way.
type traffic struct {
	cancel context.CancelFunc
	begin  time.Time
	wg     sync.WaitGroup
	calls  atomic.Int64
	err    atomic.Pointer[error]
}

func start(ctx context.Context, kinds []func(context.Context) error) *traffic {
	ctx, cancel := context.WithCancel(ctx)
	t := &traffic{cancel: cancel, begin: time.Now()}
	for _, call := range slices.Repeat(kinds, 2) {
		t.wg.Go(func() {
			for ctx.Err() == nil {
				if err := call(ctx); err != nil {
					if ctx.Err() == nil {
						t.err.Store(&err)
					}
					return
				}
				t.calls.Add(1)
			}
		})
	}
	return t
}

// stop returns how many Mbit/s there were.
func (t *traffic) stop() (rate float64, err error) {
	t.cancel()
	took := time.Since(t.begin)
	t.wg.Wait()
	if e := t.err.Load(); e != nil {
		err = *e
	}
	return float64(t.calls.Load()*most) * 8 / 1e6 / took.Seconds(), err
}
