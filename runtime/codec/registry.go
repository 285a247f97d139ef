package codec

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// A Codec encodes values in a way of its own, in place of MessagePack: those of the methods that say //daffi:codec and its name. Its
// methods may be called from several goroutines at a time.
type Codec interface {
	// ID stands before every value on the wire. It is 32 to 255, smaller ones are daffi's own, and the same at all nodes.
	ID() byte

	// Name is what a directive says: a lower-case letter, then lower-case letters, digits, - and _, at most 32 of them. It is part of the
	// method's signature.
	Name() string

	// Marshal appends v, of the type that the method has, to dst and returns the longer slice. An error ends the call; a panic is the
	// caller's own, or the handler's.
	Marshal(dst []byte, v any) ([]byte, error)

	// Unmarshal reads data into v, a pointer to the type that the method has. The data comes from another process and may be anything.
	// It is used again afterwards: copy what is kept. An error, or a panic, ends the call.
	Unmarshal(data []byte, v any) error
}

// A Measurer is a [Codec] whose values may be much larger in memory than on the wire. Measure says about how many bytes Unmarshal is
// going to allocate for v, at most, and is called before it: a value over the message's budget is refused. What other codecs read is
// charged with its length.
type Measurer interface {
	Measure(data []byte, v any) int
}

// The built-in codecs. They need not be registered.
const (
	rawID  = 1
	textID = 2
	jsonID = 3 // in package jsoncodec

	firstID    = 32 // that is not reserved
	maxName    = 32
	nameLetter = "abcdefghijklmnopqrstuvwxyz"
	nameOthers = nameLetter + "0123456789-_"
)

// builtIn are the names that a directive has a meaning for without a registry.
var builtIn = map[string]byte{"raw": rawID, "text": textID, "json": jsonID}

// errors of [Registry.Register].
var (
	errNoCodec      = errors.New("codec: nil cannot be registered")
	errReservedID   = fmt.Errorf("ids below %d are daffi's own; give it one from %[1]d to 255", firstID)
	errReservedName = errors.New("the name has a meaning of its own in //daffi:codec; give it another")
	errName         = fmt.Errorf("a name is a lower-case letter, then lower-case letters, digits, - and _, at most %d of them; give it such a one", maxName)
)

// A Registry holds the codecs of a node, beside the built-in ones: raw, text and json. The zero Registry is empty and ready. It may be
// used from several goroutines, and by several nodes; it must not be copied.
type Registry struct {
	mu    sync.Mutex // of who registers
	named atomic.Pointer[map[string]registered]
}

// registered is a codec with the id and name that it had when it was registered.
type registered struct {
	Codec
	id   byte
	name string
}

// Register adds c, which must have an id and a name that no other has.
func (r *Registry) Register(c Codec) error {
	if c == nil {
		return errNoCodec
	}
	n := registered{c, c.ID(), c.Name()}
	if err := r.add(n); err != nil {
		return fmt.Errorf("codec %s cannot be registered: %w", n, err)
	}
	return nil
}

func (r *Registry) add(n registered) error {
	_, taken := builtIn[n.name]
	switch {
	case n.id < firstID:
		return errReservedID
	case taken || n.name == "default":
		return errReservedName
	case n.name == "" || len(n.name) > maxName || !strings.Contains(nameLetter, n.name[:1]) || strings.Trim(n.name, nameOthers) != "":
		return errName
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := make(map[string]registered)
	if old := r.named.Load(); old != nil {
		known = maps.Clone(*old)
	}
	for _, other := range known {
		switch {
		case other.id == n.id && other.name == n.name:
			return errors.New("it is there already; register it once")
		case other.id == n.id:
			return fmt.Errorf("codec %s has its id; give it another", other)
		case other.name == n.name:
			return fmt.Errorf("codec %s has its name; give it another", other)
		}
	}
	known[n.name] = n
	r.named.Store(&known)
	return nil
}

// find looks a codec up by name. A nil Registry has none.
func (r *Registry) find(name string) (registered, bool) {
	if r == nil {
		return registered{}, false
	}
	known := r.named.Load()
	if known == nil {
		return registered{}, false
	}
	c, ok := (*known)[name]
	return c, ok
}

// String is what errors call it: 40 (table).
func (c registered) String() string { return fmt.Sprintf("%d (%s)", c.id, c.name) }

// A Scope is what an [Encoder] or [Decoder] knows of the node that it works for. It must not change while one has it.
type Scope struct {
	Codecs *Registry // nil: the built-in codecs alone
	Node   string    // for errors
	Depth  int       // how deep values are nested; 0: 64 (LIM-8)
	Memory int       // what the values of one message may occupy, as [Decoder.Reset] says; 0: 16 MiB (LIM-8)
}

// find looks up the codec that a directive names.
func (s *Scope) find(name string) (registered, error) {
	if s != nil {
		if c, ok := s.Codecs.find(name); ok {
			return c, nil
		}
	}
	return registered{name: name}, fmt.Errorf("codec %q is not registered%s; register it with Options.Codecs of both nodes", name, s)
}

// String is where something went wrong, for the middle of a sentence.
func (s *Scope) String() string {
	if s == nil || s.Node == "" {
		return ""
	}
	return " at node " + s.Node
}
