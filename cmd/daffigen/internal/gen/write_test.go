package gen

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWrite writes once, and again only when bytes change.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, FileName), Content: []byte("one")}
	write := func(want string) time.Time {
		t.Helper()
		if err := f.Write(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Path)
		if err != nil || string(got) != want {
			t.Fatalf("%q, error %v", got, err)
		}
		info, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	write("one")
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(f.Path, old, old); err != nil {
		t.Fatal(err)
	}
	if at := write("one"); !at.Equal(old) {
		t.Errorf("an unchanged file was written at %s", at)
	}
	f.Content = []byte("two")
	if at := write("two"); at.Equal(old) {
		t.Error("a changed file has the old time")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v stay behind, error %v", entries, err)
	}
}
