package paged

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	var table Table[uint32]
	require.Nil(t, table.At(0))
	require.Nil(t, table.At(1<<32-1))
	made := map[uint32]*uint32{}
	for range 1000 {
		i := rand.Uint32N(1 << 16)
		e := table.Make(i)
		require.Same(t, e, table.At(i))
		if before := made[i]; before != nil {
			require.Same(t, before, e, "an entry moved")
		}
		*e, made[i] = i, e
	}
	for i, e := range made {
		require.Equal(t, i, *e)
	}
	left := len(made)
	for e := range table.All() {
		if made[*e] == e {
			left--
		}
	}
	require.Zero(t, left)
}

func TestTableGrows(t *testing.T) {
	var table Table[[64]byte]
	table.Make(1<<16 - 1)
	pages := 0
	for _, p := range table.pages {
		if p != nil {
			pages++
		}
	}
	assert.Equal(t, 1, pages)
	assert.Len(t, table.pages, 1<<16/pageSize)
	assert.Nil(t, table.At(0))
	assert.Nil(t, table.At(1<<16))
}
