// Package watchfile tells when files have changed, by reading them now and then: that works wherever files can be read, also where an orchestrator
// replaces a directory by changing a link.
package watchfile

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// MaxSize is how many bytes [Read] takes of a file.
const MaxSize = 1 << 20

// ErrTooLarge: a file has more than [MaxSize] bytes.
var ErrTooLarge = errors.New("file is larger than 1 MiB")

var errPipe = errors.New("is a pipe, which can be read once only: want a file")

// Read returns what a file holds.
func Read(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeNamedPipe != 0 { // before it is opened, which may wait for ever
		return nil, &os.PathError{Op: "read", Path: path, Err: errPipe}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err == nil && len(b) > MaxSize {
		err = &os.PathError{Op: "read", Path: path, Err: ErrTooLarge}
	}
	return b, err
}

// Mode is the mode of a file as text, "" if there is none: whether one takes a file may depend on who else can use it.
func Mode(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return info.Mode().String()
}

// Options of a [Watcher]; the zero value is a good default.
type Options struct {
	Every time.Duration                     // between two looks; 0 means a second
	Read  func(path string) ([]byte, error) // nil means [Read]
}

// A Watcher looks at files and says when they have changed.
type Watcher struct {
	paths []string
	o     Options
	begin [sha256.Size]byte // what they were at first

	once sync.Once
	stop chan struct{}
	wg   sync.WaitGroup
}

// New looks at the files for the first time, so that no change is missed that comes after that, and goes on doing so when Start was called. Make it
// before the files are read for what is in them.
func New(paths []string, o Options) *Watcher {
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Read == nil {
		o.Read = Read
	}
	w := &Watcher{paths: paths, o: o, stop: make(chan struct{})}
	w.begin = w.look()
	return w
}

// Start calls changed, on a goroutine of the Watcher's, each time that the files together have become others and have then stayed the same for
// two looks, lest they be read while they are being written. That a file cannot be read is such a change, and so is another mode. Call it once at most.
func (w *Watcher) Start(changed func()) { w.wg.Go(func() { w.run(changed) }) }

// Close ends the Watcher, and returns when changed does not run and will not any more. It may be called more than once, also without Start.
func (w *Watcher) Close() {
	w.once.Do(func() { close(w.stop) })
	w.wg.Wait()
}

func (w *Watcher) run(changed func()) {
	tick := time.NewTicker(w.o.Every)
	defer tick.Stop()
	told, before := w.begin, w.begin
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		now := w.look()
		if now == before && now != told {
			told = now
			changed()
		}
		before = now
	}
}

// look is a digest of what the files hold and of their modes, or why they cannot be read.
func (w *Watcher) look() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range w.paths {
		b, err := w.o.Read(path)
		if err != nil {
			b = []byte(err.Error())
		}
		one := sha256.Sum256(b)
		h.Write(one[:])
		h.Write([]byte(Mode(path)))
		if err != nil {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	h.Sum(sum[:0])
	return sum
}
