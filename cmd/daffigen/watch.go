package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/gen"
)

// How often watch looks: so that it is as good as at once, and, where looking takes long, a small part of the time.
const (
	lookInterval = 200 * time.Millisecond
	lookShare    = 10
)

// watch generates, and again whenever a source of the module has changed, until ctx ends. It asks no system for events: looking at some
// thousand files takes milliseconds and works everywhere, also on what is mounted from elsewhere.
func (o *options) watch(ctx context.Context, patterns []string, stdout, stderr io.Writer) int {
	dir, err := os.Getwd()
	if err != nil {
		return o.trouble(err, nil, stdout, stderr, exitTrouble)
	}
	root, err := moduleRoot(dir)
	if err != nil {
		return o.trouble(err, nil, stdout, stderr, exitTrouble)
	}
	for {
		seen := look(root)
		// Editors take the two lines for the beginning and the end of a run.
		fmt.Fprintln(stderr, "daffigen: reading", strings.Join(patterns, " "))
		o.generate(ctx, patterns, stdout, stderr)
		fmt.Fprintln(stderr, "daffigen: watching", root)
		if !settle(ctx, root, seen) {
			return exitOK
		}
	}
}

// settle returns when the sources are others than seen, and stay so for a moment: an editor or a checkout may write many. It reports false
// when ctx has ended.
func settle(ctx context.Context, root string, seen uint64) bool {
	last := seen
	for {
		start := time.Now()
		now := look(root)
		if now != seen && now == last {
			return true
		}
		last = now
		select {
		case <-time.After(max(lookInterval, lookShare*time.Since(start))):
		case <-ctx.Done():
			return false
		}
	}
}

// look is a hash of the names, sizes and times of what daffigen may read below root. Of generated files only the names count.
func look(root string) uint64 {
	h := fnv.New64a()
	// What cannot be read is as good as not there; generating tells why.
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return nil
		case d.IsDir():
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		case name == gen.FileName:
			fmt.Fprintln(h, path)
			return nil
		case filepath.Ext(name) != ".go" && name != "go.mod" && name != "go.work":
			return nil
		}
		if info, err := d.Info(); err == nil {
			fmt.Fprintln(h, path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return h.Sum64()
}
