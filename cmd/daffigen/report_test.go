package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnnounce(t *testing.T) {
	for _, test := range []struct {
		takes    time.Duration
		terminal bool
		lines    int
	}{{patience / 2, true, 0}, {10 * patience, true, 1}, {10 * patience, false, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			stop := announce(&out, test.terminal)
			time.Sleep(test.takes)
			synctest.Wait()
			stop()
			if n := strings.Count(out.String(), "\n"); n != test.lines {
				t.Errorf("%v: %q", test, &out)
			}
		})
	}
}
