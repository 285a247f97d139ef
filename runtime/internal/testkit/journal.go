package testkit

import (
	"strings"
	"sync"
)

// Journal is a log that tests read while it is written.
type Journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *Journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
