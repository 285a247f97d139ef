package controller

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
)

// records is a store of what somebody else may have written.
type records map[string][]byte

func (r records) Load(f func(key string, value []byte) error) error {
	for k, v := range r {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (r records) Commit(put map[string][]byte, remove []string) error {
	for k, v := range put {
		r[k] = slices.Clone(v)
	}
	for _, k := range remove {
		delete(r, k)
	}
	return nil
}

// pack and unpack are records as bytes: a length and a key, two bytes of length and a value.
func (r records) pack() (b []byte) {
	for k, v := range r {
		b = append(append(b, byte(len(k))), k...)
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(v))), v...)
	}
	return b
}

func unpack(b []byte) records {
	r := records{}
	for len(b) > 3 {
		n := min(int(b[0]), len(b)-3)
		k := string(b[1 : 1+n])
		b = b[1+n:]
		n = min(int(binary.LittleEndian.Uint16(b)), len(b)-2)
		r[k] = b[2 : 2+n]
		b = b[2+n:]
	}
	return r
}

// FuzzStore starts a controller on records that may be anything. Either it says that the store cannot be used, or it works with what is there for a while.
func FuzzStore(f *testing.F) {
	for _, timing := range []control.Plan{{Timing: control.Every, Interval: time.Hour}, {Timing: control.Every, Interval: 10 * time.Millisecond, Limit: 3}, {Timing: control.Cron, Expression: "0 3 * * *", Zone: "UTC"}} {
		seed := records{}
		c := New(Options{Store: seed})
		l, err := c.Attach()
		require.NoError(f, err)
		p := rawpeer.New(l).Start().Join(f, "owner")
		require.Nil(f, p.Serve(f, "Svc", "(int)()", "M"))
		route := p.Route(f, "Svc", "M", "(int)()")
		require.Nil(f, p.Ask(f, (&control.Schedule{ID: "t", Route: route, Plan: timing, Args: []byte{0x91, 1}}).Append, control.OpScheduled, new(control.Scheduled)))
		p.Close()
		require.NoError(f, c.Close())
		require.NotEmpty(f, seed)
		f.Add(seed.pack())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			c := build(Options{Store: unpack(b)})
			if err := c.schedules.load(); err != nil {
				if !errors.Is(err, errStore) {
					t.Errorf("%v", err)
				}
				require.NoError(t, c.Close())
				return
			}
			l, err := c.Attach()
			require.NoError(t, err)
			p := rawpeer.New(l).Start().Join(t, "owner")
			p.Serve(t, "Svc", "(int)()", "M")
			time.Sleep(time.Second)
			require.Nil(t, p.Ask(t, (&control.Tasks{Over: true}).Append, control.OpTaskList, new(control.TaskList)))
			time.Sleep(10 * time.Second)
			p.Close()
			require.NoError(t, c.Close())
		})
	})
}
