package transport

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The numbers are part of the wire: who changes them moves every key of every program.
func TestKeysAreStable(t *testing.T) {
	require.Equal(t, uint32(0xefd01f60), KeyHash(nil))
	require.Equal(t, uint32(0x48120eeb), KeyHash([]byte("\xa3bob")))
	require.Equal(t, uint64(0xaf63dc4c8601ec8c), fnv("a"), "the published value")
	require.Equal(t, uint64(0x9fb92de80e00c3e2), NameHash("eu-1"))
	require.Equal(t, uint64(0x9b732e046555148d), Score(NameHash("eu-1"), 0x48120eeb))
}

// owner is the one of names with the highest score.
func owner(names []string, key uint32) (best string) {
	var most uint64
	for _, name := range names {
		if s := Score(NameHash(name), key); best == "" || s > most {
			best, most = name, s
		}
	}
	return best
}

// Keys are spread evenly, and one provider less moves its own only.
func TestKeysAreSpread(t *testing.T) {
	const keys = 10_000
	for _, names := range [][]string{
		{"a", "b", "c", "d", "e"},
		{"shop-1", "shop-2", "shop-3", "shop-4", "shop-5"},
	} {
		for _, kind := range []string{"\xa6%06d", "\xabuser-%06d", "%06d"} {
			count := map[string]int{}
			for i := range keys {
				key := KeyHash(fmt.Appendf(nil, kind, i))
				was := owner(names, key)
				count[was]++
				if now := owner(names[1:], key); was != names[0] {
					require.Equal(t, was, now)
				}
			}
			for _, name := range names {
				require.InDelta(t, keys/len(names), count[name], 0.06*keys/float64(len(names)), "%s: %v", kind, count)
			}
		}
	}
}
